//! A copy of a thread's stack, on its way to be unwound.
//!
//! In: a record of the kernel side. Out: registers by their DWARF numbers, and bytes. No capture holds it.

use profiler_common::processor::DWARF_ORDER;

use super::process::{Pid, Tid};
use super::stack::StackId;

/// Registers that are followed: 16 general ones and the return address.
pub const REGISTERS: usize = DWARF_ORDER.len();
/// The stack pointer's number.
const STACK_POINTER: usize = 7;

/// A thread's stack as the kernel side copied it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackCopy {
    /// What rows call it.
    pub id: StackId,
    /// The kernel's own walk of the same stack, by frame pointers.
    pub list: StackId,
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// When it was copied, monotonic ns.
    pub time_ns: u64,
    /// The thread was in a system call: its leaf is a return address, too.
    pub in_call: bool,
    /// The user registers, by DWARF number; the last is where the code was.
    pub registers: [u64; REGISTERS],
    /// Bytes from the stack pointer on.
    pub stack: Box<[u8]>,
    /// Another stack, which this one goes on with.
    pub other: Option<OtherStack>,
}

/// A stack that another one goes on with, where the code that switched had this frame pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherStack {
    /// Its stack pointer: there is the return address of the code that switched.
    pub sp: u64,
    /// Its frame pointer.
    pub bp: u64,
    /// Bytes from the stack pointer on.
    pub bytes: Box<[u8]>,
}

impl StackCopy {
    /// The stack pointer, where the bytes begin.
    pub fn sp(&self) -> u64 {
        self.registers.get(STACK_POINTER).copied().unwrap_or(0)
    }

    /// Where the code was.
    pub fn ip(&self) -> u64 {
        self.registers.last().copied().unwrap_or(0)
    }
}
