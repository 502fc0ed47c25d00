//! Who holds a sleeping lock when a wait for it begins.
//!
//! In: a mutex or rwsem. Out: process and name of the task in its owner word, read by helper, so that a
//! task that is just leaving costs nothing but a wrong or missing name.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use profiler_common::lock::{Holder, READERS, flag};

use crate::global::{self, offset};

/// Nobody is known to hold it.
pub const NOBODY: Holder = Holder { tgid: 0, pad: 0, comm: [0; 2] };

/// `RWSEM_READER_OWNED` (kernel/locking/rwsem.c): readers hold it, and the word is only the last of them.
const READER_OWNED: u64 = 1;
/// Bits of the owner word that are flags.
const FLAGS: u64 = 7;
/// Highest process id.
const TGID_MAX: u32 = 1 << 22;

/// The holder of a mutex or rwsem; nobody for other kinds of locks, or when it has just been let go.
#[inline(always)]
pub fn of(lock: u64, kind: u32) -> Holder {
    if global::have_offsets() == 0 || kind & (flag::RT | flag::PERCPU) != 0 || kind == 0 {
        return NOBODY;
    }
    let mutex = kind & flag::MUTEX != 0;
    let word: u64 = copy(lock + if mutex { offset!(mutex_owner) } else { offset!(rwsem_owner) } as u64);
    if !mutex && word & READER_OWNED != 0 {
        return Holder { tgid: READERS, ..NOBODY };
    }
    let task = word & !FLAGS;
    if task == 0 {
        return NOBODY;
    }
    let tgid: u32 = copy(task + offset!(task_tgid) as u64);
    if tgid > TGID_MAX {
        return NOBODY;
    }
    let leader: u64 = copy(task + offset!(task_group_leader) as u64);
    Holder { tgid, pad: 0, comm: copy(leader + offset!(task_comm) as u64) }
}

/// Copies a value out of the kernel; zeros when the address is not readable.
#[inline(always)]
fn copy<T: Copy>(address: u64) -> T {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the address, writes the whole value, and zeroes it on failure; every
    // use is with plain integers.
    unsafe {
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const c_void);
        value.assume_init()
    }
}
