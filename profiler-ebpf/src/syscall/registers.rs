//! The registers with which a thread entered the kernel.
//!
//! In: their address, as the tracepoints of calls tell it. Out: one of them, or none if they cannot be read.

use profiler_common::processor;

use crate::task::read::read;
use crate::task::{Task, registers};

/// The address of a task's registers as a number: the verifier lets no pointer into a global function. 0: it cannot be told.
#[inline(always)]
pub fn address_of(task: Task) -> u64 {
    let spilled = registers::of(task);
    // The helper copies the pointer as if it were one.
    read((&raw const spilled) as u64).unwrap_or(0)
}

/// The user stack pointer.
#[inline(always)]
pub fn stack_pointer(regs: u64) -> Option<u64> {
    read(regs + processor::STACK_POINTER as u64)
}

/// The number of the system call.
#[inline(always)]
pub fn call_number(regs: u64) -> Option<u64> {
    read(regs + processor::CALL_NUMBER as u64)
}

/// One of a call's first arguments, by its offset in [`processor::ARGUMENTS`].
#[inline(always)]
pub fn argument(regs: u64, offset: u64) -> Option<u64> {
    read(regs + offset)
}
