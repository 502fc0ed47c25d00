//! Which thread has a number in a pid namespace.
//!
//! In: a namespace, and a number there. Out: the thread's task, as an address. All of it is read by helper: the namespace's table may
//! change meanwhile, and then there is no thread.

use crate::global::offset;
use crate::task::read::read;

/// Entries of a node of the table, and the bits of a number that one tells.
const SLOTS: u64 = 64;
/// Nodes from the root down to a number of 22 bits.
const LEVELS: usize = 4;
/// An entry with these low bits is a node (include/linux/xarray.h).
const NODE: u64 = 2;
const NODE_MASK: u64 = 3;

/// Whether the kernel's types are known.
#[inline(always)]
pub fn is_known() -> bool {
    offset!(namespace_head) != 0
}

/// The thread that has a number in a namespace; 0: none. A global function: the verifier walks its loop once.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn task_of_number(namespace: u64, number: u32) -> u64 {
    let Some(mut entry) = read::<u64>(namespace + offset!(namespace_head) as u64) else { return 0 };
    for level in 0..LEVELS {
        if entry & NODE_MASK != NODE {
            break;
        }
        let node = entry - NODE;
        let Some(shift) = read::<u8>(node + offset!(node_shift) as u64) else { return 0 };
        let place = u64::from(number) >> (shift & 31);
        if level == 0 && place >= SLOTS {
            return 0;
        }
        let slot = node + offset!(node_slots) as u64 + 8 * (place & (SLOTS - 1));
        let Some(next) = read::<u64>(slot) else { return 0 };
        entry = next;
    }
    // The first of its threads is linked by a member of its task.
    if entry == 0 || entry & NODE_MASK != 0 {
        return 0;
    }
    let Some(first) = read::<u64>(entry + offset!(pid_tasks) as u64) else { return 0 };
    if first == 0 { 0 } else { first - offset!(task_pid_links) as u64 }
}
