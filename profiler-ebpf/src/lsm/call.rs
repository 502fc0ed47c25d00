//! The system call that a function of the security layer runs in.
//!
//! In: the running thread. Out: its call, as a row's key has it.

use profiler_common::abi::BEGAN_BEFORE;
use profiler_common::lsm::short_nr;
use profiler_common::syscall::NO_CALL;

use crate::task;
use crate::thread::{record, slot};

/// The call the running thread is in.
#[inline(never)]
pub fn nr() -> u16 {
    short_nr(current())
}

#[inline(always)]
fn current() -> u32 {
    if let Some(slot) = slot::calling() {
        return slot.nr.get();
    }
    match record::get(task::current()) {
        Some(thread) if thread.in_call() => thread.nr.get() & !BEGAN_BEFORE,
        _ => NO_CALL,
    }
}
