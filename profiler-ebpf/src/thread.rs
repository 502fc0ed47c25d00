//! Per-thread state, in task storage.
//!
//! In: what happens to a thread. Out: one record that every probe reads and writes.

use aya_ebpf::bindings::BPF_LOCAL_STORAGE_GET_F_CREATE;
use aya_ebpf::helpers::generated::bpf_task_storage_get;
use profiler_common::outcome::Outcome;

use crate::lock::{NESTING, Wait};
use crate::maps::THREADS;
use crate::outcome::count;
use crate::task::Task;

/// State bits.
pub mod flag {
    /// Inside the call `nr`.
    pub const IN_CALL: u32 = 1;
    /// That call began before attach: its enter time is only "at the latest".
    pub const SEEDED: u32 = 2;
    /// An interrupted call waits for its restart (see `restart`).
    pub const INTERRUPTED: u32 = 4;
    /// The thread was seen before (its first exit without enter is explained by attach).
    pub const KNOWN: u32 = 8;
}

/// Where a call's time went, and the stacks that show it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Parts {
    /// Time off the CPU, ns.
    pub off_cpu_ns: u64,
    /// Longest wait that has a stack, ns.
    pub longest_ns: u64,
    /// Kernel stack of that wait.
    pub wait_stack: u64,
    /// Kernel stack of the latest CPU sample.
    pub sample_stack: u64,
}

/// A call that a signal interrupted; valid while [`flag::INTERRUPTED`] is set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Interrupted {
    /// The call.
    pub nr: u32,
    /// How it returned: 512..=516.
    pub errno: u32,
    /// When it was entered, ns.
    pub enter_ns: u64,
    /// When it returned, ns.
    pub exit_ns: u64,
    /// Its user stack pointer: a restart has the same, a signal handler's calls do not.
    pub stack_pointer: u64,
    /// What it was made of so far.
    pub parts: Parts,
}

/// What is known of one thread.
#[repr(C)]
pub struct Thread {
    /// [`flag`]s.
    pub flags: u32,
    /// The call it is in.
    pub nr: u32,
    /// When it entered that call, ns.
    pub enter_ns: u64,
    /// When it left the CPU inside the call; 0 = it is on one.
    pub out_ns: u64,
    /// What that call is made of.
    pub parts: Parts,
    /// The call that waits for its restart.
    pub interrupted: Interrupted,
    /// Sleeping locks waited for, outermost first.
    pub waits: [Wait; NESTING],
}

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
