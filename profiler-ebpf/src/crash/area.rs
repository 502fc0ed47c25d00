//! The mapping that an address is in.
//!
//! In: a process's memory, an address. Out: a mapping in this CPU's buffer.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use core::ffi::c_void;
use profiler_common::crash::{Area, NAME_BYTES, UNKNOWN};

use crate::crash::{buffer, tree};
use crate::global::offset;
use crate::task::read::read;

/// The mapping of the instruction.
pub const INSTRUCTION: u32 = 0;
/// The mapping of the address.
pub const ADDRESS: u32 = 1;

const NONE: Area =
    Area { start: 0, end: 0, flags: 0, page: 0, file_bytes: 0, inode: 0, name: [0; NAME_BYTES] };

/// A global function: the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn fault_area(which: u32, memory: u64, address: u64) -> u32 {
    let Some(buffer) = buffer::buffer() else { return 0 };
    let slot = if which == INSTRUCTION { &mut buffer.head.ip_area } else { &mut buffer.head.address_area };
    *slot = NONE;
    if memory == UNKNOWN || memory == 0 {
        slot.end = UNKNOWN;
        return 0;
    }
    let area = tree::find(memory, address);
    if area == 0 {
        return 0;
    }
    let word = |offset: usize| read::<u64>(area + offset as u64).unwrap_or(0);
    let (start, end) = (word(offset!(area_start)), word(offset!(area_end)));
    if address < start || address >= end {
        return 0;
    }
    (slot.start, slot.end) = (start, end);
    (slot.flags, slot.page) = (word(offset!(area_flags)), word(offset!(area_page)));
    let file = word(offset!(area_file));
    if file == 0 {
        return 0;
    }
    let inode = read::<u64>(file + offset!(file_inode) as u64).unwrap_or(0);
    slot.inode = read(inode + offset!(inode_number) as u64).unwrap_or(0);
    slot.file_bytes = read(inode + offset!(inode_bytes) as u64).unwrap_or(0);
    let entry = read::<u64>(file + offset!(file_dentry) as u64).unwrap_or(0);
    let name = read::<u64>(entry + offset!(dentry_name) as u64).unwrap_or(0);
    // SAFETY: the helper writes no more than the name holds, with a NUL at its end.
    unsafe {
        bpf_probe_read_kernel_str((&raw mut slot.name).cast(), NAME_BYTES as u32, name as *const c_void);
    }
    0
}
