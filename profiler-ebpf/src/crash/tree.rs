//! The mapping that covers an address, in the kernel's own tree of them.
//!
//! In: a process's memory, an address. Out: the address of the mapping's `vm_area_struct`; 0: none. The tree may change
//! meanwhile: whoever reads the mapping checks that it covers the address.

use crate::global::offset;
use crate::task::read::read;

/// Levels of a red-black tree: `max_map_count` is 65,530, and may be raised.
const LEVELS_RB: u32 = 48;
/// Levels of a maple tree (lib/maple_tree.c): 10 slots a node at least, of which a third is filled.
const LEVELS: u32 = 16;
/// Pivots of a node: of leaves and plain inner nodes, and of those that also keep gaps.
const PIVOTS: u32 = 15;
const PIVOTS_GAPS: u32 = 9;

/// `enum maple_type`: a leaf, and an inner node that also keeps gaps.
const LEAF: u64 = 1;
const WITH_GAPS: u64 = 3;

/// The mapping at an address, or one beside it.
#[inline(always)]
pub fn find(memory: u64, address: u64) -> u64 {
    if offset!(mm_tree) != 0 { maple(memory, address) } else { red_black(memory, address) }
}

#[inline(always)]
fn red_black(memory: u64, address: u64) -> u64 {
    let mut node = read::<u64>(memory + offset!(mm_rb) as u64).unwrap_or(0);
    for _ in 0..LEVELS_RB {
        if node == 0 {
            return 0;
        }
        let area = node.wrapping_sub(offset!(area_rb) as u64);
        let start = read::<u64>(area + offset!(area_start) as u64).unwrap_or(0);
        let end = read::<u64>(area + offset!(area_end) as u64).unwrap_or(0);
        if start <= address && address < end {
            return area;
        }
        // `struct rb_node`: parent and colour, right, left.
        let next = if address < start { node + 16 } else { node + 8 };
        node = read::<u64>(next).unwrap_or(0);
    }
    0
}

#[inline(always)]
fn maple(memory: u64, address: u64) -> u64 {
    let mut entry = read::<u64>(memory + offset!(mm_tree) as u64).unwrap_or(0);
    // The root is marked as a node, or is none.
    if entry & 3 != 2 {
        return 0;
    }
    for _ in 0..LEVELS {
        if entry <= 4096 {
            return 0;
        }
        let leaf = kind(entry) <= LEAF;
        entry = mapping_slot(entry, address);
        if leaf {
            return entry;
        }
    }
    0
}

/// Which kind of node an entry points to.
#[inline(always)]
fn kind(entry: u64) -> u64 {
    (entry >> 3) & 15
}

/// What a node has for an address. A global function: the verifier walks its loop once.
#[unsafe(no_mangle)]
#[inline(never)]
fn mapping_slot(entry: u64, address: u64) -> u64 {
    // A node is at a multiple of 256.
    let node = entry & !255;
    let pivots = if kind(entry) == WITH_GAPS { PIVOTS_GAPS } else { PIVOTS };
    let mut at = 0;
    for index in 0..PIVOTS {
        at = index;
        if index >= pivots {
            break;
        }
        let pivot = read::<u64>(node + 8 + 8 * u64::from(index)).unwrap_or(0);
        if index > 0 && pivot == 0 || address <= pivot {
            break;
        }
        at = index + 1;
    }
    read(node + 8 + 8 * u64::from(pivots) + 8 * u64::from(at)).unwrap_or(0)
}
