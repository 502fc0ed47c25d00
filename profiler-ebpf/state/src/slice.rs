//! Slices of a call on the CPU, from switch-in to switch-out. Slices off the CPU are in `away`.
//!
//! In: a thread's switches and lock waits inside a call. Out: its parts, each the sum of its own slices, never a
//! remainder. A slice whose begin or end was not seen is added nowhere: the kernel's own count of switches
//! reveals it, and its time becomes `unaccounted`.

use profiler_common::part::Part;
use profiler_common::stack::NO_STACK;
use profiler_common::wait::Wait;

use crate::missed::missed;
use crate::thread::Thread;
use crate::unseen;
use crate::world::World;

/// The call's first slice, on the CPU since `since`.
#[inline(always)]
pub fn begin(thread: &Thread, since: u64, switches: u64, early: bool) {
    let slice = &thread.slice;
    slice.on_ns.set(since);
    slice.out_ns.set(0);
    slice.woken_ns.set(0);
    slice.spin_ns.set(0);
    slice.switches.set(switches);
    slice.lock_stack.set(NO_STACK);
    slice.wait.set(Wait::Sleep as u16);
    slice.queue.set(Wait::Woken as u16);
    slice.spins.set(0);
    slice.early.set(u16::from(early));
    slice.ran.set(0);
    slice.queued.set(0);
    slice.owner.set(0);
}

/// Ends the slice on the CPU, if its begin was seen and nothing happened since.
#[inline(always)]
pub fn add_running(world: &impl World, thread: &Thread, now: u64, switches: u64) {
    spun_on_mutex(thread, now);
    let since = thread.slice.on_ns.get();
    thread.slice.on_ns.set(0);
    // Without the kernel's count and without `sched_switch`, nothing else is known.
    if world.counts_switches() && since != 0 && switches == thread.slice.switches.get() {
        thread.parts.add(Part::OnCpu, now.saturating_sub(since));
    } else {
        missed(world, thread);
    }
}

/// The call ends, or is interrupted, on the CPU. It is still the thread's call: a wait that nobody saw end was in it.
#[inline(always)]
pub fn ends(world: &impl World, thread: &Thread, now: u64) {
    let switches = world.switches();
    if unseen::is(thread, switches) {
        world.recover(thread, now);
    } else {
        add_running(world, thread, now, switches);
    }
    // No lock is waited for at the end of a call: the ends of these waits were not seen.
    thread.waits.clear();
}

/// A spin of the thread itself, inside a call, has ended.
#[inline(always)]
pub fn spun(thread: &Thread, ns: u64, stack: u64) {
    // One within the spinning phase of a mutex is in that.
    if thread.slice.spin_ns.get() != 0 {
        return;
    }
    thread.parts.add(Part::Spin, ns);
    if ns > thread.parts.spin_ns.get() && stack != NO_STACK {
        thread.parts.spin_ns.set(ns);
        thread.parts.spin_stack.set(stack);
    }
}

/// A wait for a mutex begins to spin, or ceases to.
#[inline(always)]
pub fn mutex_phase(thread: &Thread, spins: bool, now: u64) {
    spun_on_mutex(thread, now);
    thread.slice.spins.set(u16::from(spins));
    if spins {
        thread.slice.spin_ns.set(now);
    }
}

/// Adds what the thread has spun on a mutex so far in this slice.
#[inline(always)]
fn spun_on_mutex(thread: &Thread, now: u64) {
    let since = thread.slice.spin_ns.get();
    thread.slice.spin_ns.set(0);
    if since != 0 {
        thread.parts.add(Part::Spin, now.saturating_sub(since));
    }
}
