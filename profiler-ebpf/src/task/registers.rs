//! The user registers of a task in the kernel.
//!
//! In: a task. Out: their address. The kernel tells it since 5.15; before, they lie at the end of the task's kernel stack.

use aya_ebpf::helpers::generated::bpf_task_pt_regs;
use profiler_common::processor::REGISTERS_ON_STACK;

use crate::global::{self, offset};
use crate::task::read::load;
use crate::task::{self, Task};

/// Those of a task. One that has ended has no stack: they cannot be read then.
#[inline(always)]
pub fn of(task: Task) -> u64 {
    // SAFETY: `task` is a BTF pointer.
    unsafe {
        if global::task_storage() != 0 {
            bpf_task_pt_regs(task) as u64
        } else {
            load::<u64>(task.cast(), offset!(task_stack)) + REGISTERS_ON_STACK as u64
        }
    }
}

/// Those of the running task.
#[inline(always)]
pub fn of_current() -> u64 {
    of(task::current())
}
