//! Slices of a call on the CPU: from switch-in to switch-out. Those off it are in `away`.
//!
//! In: a thread's switches and lock waits inside a call. Out: its parts, each the sum of its own slices, never a
//! remainder. A slice whose begin or end was not seen counts nowhere, and the kernel's own count of switches
//! tells: what is missed becomes `unaccounted`.

use profiler_common::outcome::Outcome;
use profiler_common::part::Part;
use profiler_common::stack::NO_STACK;
use profiler_common::wait::Wait;

use crate::outcome::count;
use crate::state::{NESTING, Slice, Thread};
use crate::task::{self, Task};
use crate::{global, unseen};

/// The call's first slice, on the CPU since `since`.
#[inline(always)]
pub fn begin(thread: &mut Thread, since: u64, switches: u64) {
    thread.slice = Slice {
        on_ns: since,
        out_ns: 0,
        woken_ns: 0,
        spin_ns: 0,
        switches,
        lock_stack: NO_STACK,
        wait: Wait::Sleep as u16,
        queue: Wait::Woken as u16,
        spins: 0,
        early: u16::from(!global::slots_usable()),
        ran: 0,
        queued: 0,
    };
}

/// Ends the slice on the CPU, if its begin was seen and nothing happened since.
#[inline(always)]
pub fn add_running(thread: &mut Thread, now: u64, switches: u64) {
    spun_on_mutex(thread, now);
    let since = thread.slice.on_ns;
    thread.slice.on_ns = 0;
    // Without offsets the kernel's count cannot be read, and without `sched_switch` nothing else is known.
    if global::have_offsets() != 0 && since != 0 && switches == thread.slice.switches {
        thread.parts.ns[Part::OnCpu as usize] += now.saturating_sub(since);
    } else {
        missed(thread);
    }
}

/// A switch was not seen.
#[inline(always)]
pub fn missed(thread: &Thread) {
    if thread.slice.early == 0 {
        count(Outcome::SwitchMissed, 1);
    }
}

/// The call ends, or is interrupted, on the CPU.
#[inline(always)]
pub fn ends(thread: &mut Thread, task: Task, now: u64) {
    let switches = task::switches(task);
    if unseen::is(thread, switches) {
        unseen::recover(now);
    } else {
        add_running(thread, now, switches);
    }
    for index in 0..NESTING {
        // No lock is waited for at the end of a call: the end of this wait was not seen.
        thread.waits[index].lock = 0;
    }
}

/// A spin of the thread itself, inside a call, has ended.
#[inline(always)]
pub fn spun(thread: &mut Thread, ns: u64, stack: u64) {
    // One within the spinning phase of a mutex is in that.
    if thread.slice.spin_ns != 0 {
        return;
    }
    thread.parts.ns[Part::Spin as usize] += ns;
    if ns > thread.parts.spin_ns && stack != NO_STACK {
        thread.parts.spin_ns = ns;
        thread.parts.spin_stack = stack;
    }
}

/// A wait for a mutex begins to spin, or ceases to.
#[inline(always)]
pub fn mutex_phase(thread: &mut Thread, spins: bool, now: u64) {
    spun_on_mutex(thread, now);
    thread.slice.spins = spins as u16;
    if spins {
        thread.slice.spin_ns = now;
    }
}

/// Adds what the thread has spun on a mutex so far in this slice.
#[inline(always)]
fn spun_on_mutex(thread: &mut Thread, now: u64) {
    let since = thread.slice.spin_ns;
    thread.slice.spin_ns = 0;
    if since != 0 {
        thread.parts.ns[Part::Spin as usize] += now.saturating_sub(since);
    }
}
