//! What one of the slowest calls was about, as far as only its own end can tell.
//!
//! In: a call whose arguments are noted, in the thread that made it. Out: the path that it was given, as the program's
//! memory has it now; the kind of file behind its descriptor, for a process that may be gone when user space looks.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_probe_read_user, bpf_probe_read_user_str};
use profiler_common::abi::is_exec;
use profiler_common::slowest::{PATH, PATH_UNREADABLE, SlowestCall, is_connect, path_argument};

use crate::global::offset;
use crate::task;
use crate::task::read::{load, read};

/// `AF_UNIX` (include/linux/socket.h).
const UNIX: u16 = 1;
/// Where the path begins in the address of a socket (`sockaddr_un.sun_path`).
const SUN_PATH: u64 = 2;

/// What a call is given, by its short number. A table and no comparisons: Linux 6.18 complains of its own verifier where it follows
/// so many of them ("REG INVARIANTS VIOLATION").
static GIVEN: [u8; SHORT] = given();
/// Short numbers there are.
const SHORT: usize = 1 << 12;
const FIRST_IS_PATH: u8 = 0;
const SECOND_IS_PATH: u8 = 1;
const ADDRESS: u8 = 2;
const NEITHER: u8 = 3;

const fn given() -> [u8; SHORT] {
    let mut table = [NEITHER; SHORT];
    let mut short = 0;
    while short < SHORT {
        table[short] = match path_argument(short as u32) {
            0 => FIRST_IS_PATH,
            1 => SECOND_IS_PATH,
            _ if is_connect(short as u32) => ADDRESS,
            _ => NEITHER,
        };
        short += 1;
    }
    table
}

/// Notes the call's path and its descriptor's kind; `nr` is its short number.
#[inline(never)]
pub fn note(kept: &mut SlowestCall, nr: u32) -> u32 {
    kept.path_bytes = 0;
    kept.file_mode = 0;
    kept.file_system = 0;
    // A program that took the place of another has neither its memory nor its registers.
    if is_exec(nr) && kept.ret == 0 {
        return 0;
    }
    let [first, second, _] = kept.arguments;
    let given = GIVEN[nr as usize % SHORT];
    if given == FIRST_IS_PATH {
        note_path(kept, first);
        return 0;
    }
    if given == SECOND_IS_PATH {
        note_path(kept, second);
    } else if given == ADDRESS {
        note_socket(kept, second);
    }
    note_kind(kept, first as u32);
    0
}

/// Inside its callers: the verifier allows eight functions below each other.
#[inline(always)]
fn note_path(kept: &mut SlowestCall, address: u64) -> u32 {
    let path = (&raw mut kept.path).cast::<c_void>();
    // SAFETY: the helper writes at most as many bytes as the field has, and checks the address.
    let length = unsafe { bpf_probe_read_user_str(path, PATH as u32, address as *const c_void) };
    kept.path_bytes = if length > 0 { length as u32 } else { PATH_UNREADABLE };
    0
}

/// The path in a socket's address, if it has one. An abstract one begins with a NUL, and is written with an `@`.
#[inline(never)]
fn note_socket(kept: &mut SlowestCall, address: u64) -> u32 {
    let mut family = 0u16;
    // SAFETY: the helper writes the variable, whole, and checks the address.
    let failed = unsafe { bpf_probe_read_user((&raw mut family).cast(), 2, address as *const c_void) };
    if failed != 0 || family != UNIX {
        return 0;
    }
    note_path(kept, address.wrapping_add(SUN_PATH));
    if kept.path_bytes == 1 {
        abstract_name(kept, address);
    }
    0
}

/// The name after the NUL, moved by the length of an `@`.
#[inline(never)]
fn abstract_name(kept: &mut SlowestCall, address: u64) -> u32 {
    let name = address.wrapping_add(SUN_PATH + 1);
    let path = (&raw mut kept.path).cast::<u8>();
    // SAFETY: both writes are inside the field; the helper checks the address.
    let length = unsafe {
        path.write(b'@');
        bpf_probe_read_user_str(path.add(1).cast(), PATH as u32 - 1, name as *const c_void)
    };
    kept.path_bytes = if length > 0 { length as u32 + 1 } else { PATH_UNREADABLE };
    0
}

/// Follows the thread's table of descriptors. Another thread may change it meanwhile, as it may before and after.
#[inline(never)]
fn note_kind(kept: &mut SlowestCall, descriptor: u32) -> u32 {
    if let Some((mode, file_system)) = kind(descriptor) {
        kept.file_mode = u64::from(mode);
        kept.file_system = file_system;
    }
    0
}

#[inline(always)]
fn kind(descriptor: u32) -> Option<(u16, u64)> {
    if offset!(task_files) == 0 {
        return None;
    }
    // SAFETY: the running task is a BTF pointer where the verifier knows it.
    let files: u64 = unsafe { load(task::current().cast(), offset!(task_files)) };
    let table: u64 = read(files + offset!(files_fdt) as u64)?;
    let room: u32 = read(table + offset!(fdtable_max) as u64)?;
    if descriptor >= room {
        return None;
    }
    let array: u64 = read(table + offset!(fdtable_fd) as u64)?;
    let file: u64 = read(array + 8 * u64::from(descriptor))?;
    let inode: u64 = read(file + offset!(file_inode) as u64)?;
    let mode: u16 = read(inode + offset!(inode_mode) as u64)?;
    let block: u64 = read(inode + offset!(inode_sb) as u64)?;
    Some((mode, read(block + offset!(sb_magic) as u64)?))
}
