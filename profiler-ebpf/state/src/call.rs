//! Calls that a thread's own record holds: the first of a time slice, those that leave the CPU, and interrupted ones.
//!
//! In: enters and exits. Out: the record, before and after. A call is the thread's until all of its slices are closed:
//! whoever closes one must find it there.

use crate::slot::Slot;
use crate::thread::{Thread, flag};
use crate::world::World;
use crate::{restart, slice, unseen};
use profiler_common::abi::BEGAN_BEFORE;
use profiler_common::part::Part;

/// The thread enters a call. `restarts`: it goes on with the one that was interrupted (see [`restart::next`]).
#[inline(always)]
pub fn begins(world: &impl World, thread: &Thread, (nr, now): (u32, u64), restarts: bool) {
    unseen::recover_before(world, thread, now);
    thread.nr.set(nr);
    thread.parts.clear();
    thread.enter_ns.set(now);
    slice::begin(thread, now, world.switches(), world.is_early());
    if restarts {
        restart::joins(world, thread);
    }
    thread.flags.set(
        (thread.flags.get() | flag::KNOWN | flag::IN_CALL) & !(flag::SEEDED | flag::UNTOLD | flag::RECEIVED),
    );
}

/// A thread that was never seen runs at attach: it may be in a call since before. What it does from `now` on is kept for
/// that call.
#[inline(always)]
pub fn may_be(world: &impl World, thread: &Thread, now: u64) {
    thread.parts.clear();
    thread.enter_ns.set(now);
    slice::begin(thread, now, world.switches(), true);
    thread.flags.set(flag::UNTOLD);
}

/// The thread is in the call `nr`, which began before attach, or in none.
#[inline(always)]
pub fn told(thread: &Thread, nr: Option<u32>) {
    if let Some(nr) = nr {
        thread.nr.set(nr | BEGAN_BEFORE);
        thread.flags.set(flag::KNOWN | flag::IN_CALL | flag::SEEDED);
    } else {
        thread.flags.set(flag::KNOWN);
    }
}

/// Moves a slot's call to the thread's record: it leaves the CPU, or needs more than a slot.
/// `switches`: how often the thread had left a CPU when the call began.
#[inline(always)]
pub fn moves(world: &impl World, thread: &Thread, slot: &Slot, switches: u64) {
    let since = slot.enter_ns.get();
    unseen::recover_before(world, thread, since);
    thread.nr.set(slot.nr.get());
    thread.enter_ns.set(since);
    thread.parts.clear();
    thread.parts.sample_stack.set(slot.sample_stack.get());
    thread.parts.add(Part::Irq, slot.irq_ns.get());
    slice::begin(thread, since, switches, world.is_early());
    thread.flags.set(flag::KNOWN | flag::IN_CALL);
    slot.in_call.set(0);
}

/// The thread's call ends at `now`, or is interrupted: its last slice is closed, and then it is in no call.
#[inline(always)]
pub fn ends(world: &impl World, thread: &Thread, now: u64) {
    slice::ends(world, thread, now);
    thread.flags.set(thread.flags.get() & !(flag::IN_CALL | flag::SEEDED | flag::RECEIVED));
}
