//! Per-thread state: in task storage, or in a preallocated hash by the task's address where the kernel
//! has no task storage (before 5.12).
//!
//! In: a task. Out: its record, made where that is safe. The hash's entries are freed with their task.

use aya_ebpf::bindings::{BPF_LOCAL_STORAGE_GET_F_CREATE, BPF_NOEXIST};
use aya_ebpf::helpers::generated::bpf_task_storage_get;
use profiler_common::outcome::Outcome;

use crate::global;
use crate::maps::{NEW_THREAD, TASKS, THREADS};
use crate::outcome::{busy, count};
use crate::state::Thread;
use crate::task::{self, Task};

/// The thread's state, if it has one.
#[inline(always)]
pub fn get(task: Task) -> Option<&'static mut Thread> {
    if global::task_storage() != 0 { stored(task, 0) } else { hashed(task::address(task)) }
}

/// The thread's state, made when it has none. Allocates: only where that is safe.
#[inline(always)]
pub fn get_or_create(task: Task) -> Option<&'static mut Thread> {
    let thread = if global::task_storage() != 0 {
        stored(task, u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE))
    } else {
        let address = task::address(task);
        hashed(address).or_else(|| insert(address))
    };
    if thread.is_none() {
        count(Outcome::ThreadStateFull, 1);
    }
    thread
}

/// The task at `address` is freed by the kernel: its state goes. Task storage does that by itself.
#[inline(always)]
pub fn free(address: u64) {
    let _ = busy(|| TASKS.remove(&address));
}

#[inline(always)]
fn stored(task: Task, flags: u64) -> Option<&'static mut Thread> {
    // SAFETY: the storage lives as long as the task, which outlives this program's run; one
    // thread runs on one CPU, so nobody else writes it but a nested probe of the same CPU.
    unsafe {
        bpf_task_storage_get(THREADS.as_ptr(), task, core::ptr::null_mut(), flags).cast::<Thread>().as_mut()
    }
}

#[inline(always)]
fn hashed(address: u64) -> Option<&'static mut Thread> {
    // SAFETY: as above: the entry is removed when the task is freed.
    TASKS.get_ptr_mut(&address).map(|thread| unsafe { &mut *thread })
}

#[inline(always)]
fn insert(address: u64) -> Option<&'static mut Thread> {
    let new = NEW_THREAD.get(0)?;
    let _ = busy(|| TASKS.insert(&address, new, u64::from(BPF_NOEXIST)));
    hashed(address)
}
