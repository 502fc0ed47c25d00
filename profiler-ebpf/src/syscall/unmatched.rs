//! Exits without an enter: children of clone, calls that began before attach.
//!
//! In: the exit of a thread that was never seen entering. Out: the class it counts as.

use profiler_common::abi::{is_clone, short};
use profiler_common::outcome::Outcome;
use profiler_state::thread::flag;

use crate::outcome::count;
use crate::syscall::{asked, registers};
use crate::thread::record;
use crate::{global, task};

/// An exit in a thread that was never seen entering.
#[inline(never)]
pub fn exit(regs: u64, ret: i64) -> u32 {
    let task = task::current();
    if ret == 0 && task::start_ns(task) >= global::attach_ns() && made_a_thread(regs) {
        count(Outcome::CloneChild, 1);
        if global::announces_all() {
            record::get_or_create(task);
        }
        return 0;
    }
    // The first exit of an older thread: it was inside a call when we attached. Later ones have state.
    let born_before = task::start_ns(task) < global::attach_ns();
    count(if born_before { Outcome::InFlightAtAttach } else { Outcome::RefusedCall }, 1);
    if let Some(thread) = record::get_or_create(task) {
        thread.flags.set(flag::KNOWN);
    }
    0
}

/// Whether the registers are those of a call that makes a thread.
#[inline(always)]
fn made_a_thread(regs: u64) -> bool {
    let compat = asked::in_compat_call(task::current());
    registers::call_number(regs).is_some_and(|nr| is_clone(short(nr as u32, compat)))
}
