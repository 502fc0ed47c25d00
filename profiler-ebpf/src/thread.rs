//! Per-thread state, in task storage.
//!
//! In: a task. Out: its record, made where that is safe.

use aya_ebpf::bindings::BPF_LOCAL_STORAGE_GET_F_CREATE;
use aya_ebpf::helpers::generated::bpf_task_storage_get;
use profiler_common::outcome::Outcome;

use crate::maps::THREADS;
use crate::outcome::count;
use crate::state::Thread;
use crate::task::Task;

/// The thread's state, if it has one.
#[inline(always)]
pub fn get(task: Task) -> Option<&'static mut Thread> {
    // SAFETY: the storage lives as long as the task, which outlives this program's run; one
    // thread runs on one CPU, so nobody else writes it but a nested probe of the same CPU.
    unsafe {
        bpf_task_storage_get(THREADS.as_ptr(), task, core::ptr::null_mut(), 0).cast::<Thread>().as_mut()
    }
}

/// The thread's state, made when it has none. Allocates: only where that is safe.
#[inline(always)]
pub fn get_or_create(task: Task) -> Option<&'static mut Thread> {
    // SAFETY: as above.
    let thread = unsafe {
        bpf_task_storage_get(
            THREADS.as_ptr(),
            task,
            core::ptr::null_mut(),
            u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE),
        )
        .cast::<Thread>()
        .as_mut()
    };
    if thread.is_none() {
        count(Outcome::ThreadStateFull, 1);
    }
    thread
}
