//! Fields of a task, by plain loads through its BTF pointer. Before Linux 5.11 the verifier takes the
//! running task for a plain address, so everything is copied by helper.
//!
//! In: a task. Out: its fields, at injected offsets.

pub mod number;
pub mod read;
pub mod registers;

use core::ffi::c_void;

use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf};

use profiler_common::processor::STACK_BYTES_MOST;

use crate::global::{self, offset};
use crate::task::read::{load, read};

/// A task the verifier knows as one.
pub type Task = *mut task_struct;

/// `PF_KTHREAD` (include/linux/sched.h): the task has no user space.
pub const KERNEL_THREAD: u32 = 0x0020_0000;
/// `PF_EXITING` (include/linux/sched.h): the task ends, or has ended and waits for its parent.
pub const EXITING: u32 = 4;

/// The running task.
#[inline(always)]
pub fn current() -> Task {
    // SAFETY: the helpers have no preconditions.
    unsafe {
        if global::task_storage() != 0 { bpf_get_current_task_btf() } else { bpf_get_current_task() as Task }
    }
}

/// Its address in the kernel: its key on kernels without task storage.
#[inline(always)]
pub fn address(task: Task) -> u64 {
    task.addr() as u64
}

/// Process id.
#[inline(always)]
pub fn tgid(task: Task) -> u32 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_tgid)) }
}

/// Thread id.
#[inline(always)]
pub fn tid(task: Task) -> u32 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_pid)) }
}

/// Monotonic start time, ns.
#[inline(always)]
pub fn start_ns(task: Task) -> u64 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_start_time)) }
}

/// Whether it has no user space.
#[inline(always)]
pub fn is_kernel_thread(task: Task) -> bool {
    flags(task) & KERNEL_THREAD != 0
}

/// Whether it can be in a system call: it has user space, and neither ends nor has ended.
#[inline(always)]
pub fn makes_calls(task: Task) -> bool {
    flags(task) & (KERNEL_THREAD | EXITING) == 0
}

/// Whether it ends, or has ended.
#[inline(always)]
pub fn is_ending(task: Task) -> bool {
    flags(task) & EXITING != 0
}

#[inline(always)]
fn flags(task: Task) -> u32 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_flags)) }
}

/// Whether it is on a CPU right now.
#[inline(always)]
pub fn is_on_cpu(task: Task) -> bool {
    // Its lowest byte, on little-endian processors the first: since Linux 7.2 it has no more.
    // SAFETY: `task` is a BTF pointer.
    let on_cpu: u8 = unsafe { load(task.cast(), offset!(task_on_cpu)) };
    on_cpu != 0
}

/// Its state, asked while it leaves the CPU: 0 when it stays runnable. All states fit 32 bits, also where the
/// field is a long.
#[inline(always)]
pub fn state(task: Task) -> u32 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_state)) }
}

/// Whether its cgroup's CPU quota keeps it off the CPU. Its own mark says so (Linux 6.18 and later), or its queue's count.
#[inline(always)]
pub fn is_throttled(task: Task) -> bool {
    // SAFETY: `task` is a BTF pointer, and so is its queue's.
    unsafe {
        if offset!(task_throttled) != 0 {
            return load::<u8>(task.cast(), offset!(task_throttled)) != 0;
        }
        if offset!(cfs_rq_throttle_count) == 0 {
            return false;
        }
        let queue: *const c_void = load(task.cast(), offset!(task_cfs_rq));
        load::<u32>(queue, offset!(cfs_rq_throttle_count)) != 0
    }
}

/// How long a task that sleeps has been off the CPU, ns; 0: not known. Never more than it was: the scheduler notes when a task
/// leaves by a clock of each CPU that leaves out interrupts and what a host took, and that may be behind.
#[inline(always)]
pub fn away_ns(task: Task) -> u64 {
    if offset!(rq_clock_task) == 0 {
        return 0;
    }
    // SAFETY: `task` is a BTF pointer, and so are its queue's and that one's CPU's.
    let (left, now): (u64, u64) = unsafe {
        let queue: *const c_void = load(task.cast(), offset!(task_cfs_rq));
        let cpu: *const c_void = load(queue, offset!(cfs_rq_rq));
        (load(task.cast(), offset!(task_exec_start)), load(cpu, offset!(rq_clock_task)))
    };
    if left == 0 { 0 } else { now.saturating_sub(left) }
}

/// How often it left a CPU, by the kernel's own count, which already includes the present switch when `sched_switch` fires.
#[inline(always)]
pub fn switches(task: Task) -> u64 {
    // SAFETY: `task` is a BTF pointer.
    let (voluntary, forced): (u64, u64) =
        unsafe { (load(task.cast(), offset!(task_nvcsw)), load(task.cast(), offset!(task_nivcsw))) };
    voluntary.wrapping_add(forced)
}

/// Whether `ctx`, the context of a program, lies on the task's own stack: interrupts have theirs.
#[inline(always)]
pub fn on_own_stack(task: Task, ctx: *mut c_void) -> bool {
    let spilled = ctx;
    // SAFETY: `task` is a BTF pointer.
    let stack: u64 = unsafe { load(task.cast(), offset!(task_stack)) };
    // The helper turns the context's pointer, on which the verifier allows no arithmetic, into a number.
    read::<u64>((&raw const spilled) as u64)
        .is_some_and(|address| address.wrapping_sub(stack) < STACK_BYTES_MOST)
}

/// The CPU it is on, or was on last.
#[inline(always)]
pub fn last_cpu(task: Task) -> u32 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_cpu)) }
}

/// Its command name as two words; zeros when it cannot be read.
#[inline(always)]
pub fn comm(task: Task) -> [u64; 2] {
    read(address(task) + offset!(task_comm) as u64).unwrap_or([0; 2])
}

/// The leader of its process.
#[inline(always)]
pub fn leader(task: Task) -> Task {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_group_leader)) }
}
