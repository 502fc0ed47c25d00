//! Slices of a call: from switch-in to switch-out it runs, from there to the next switch-in it waits.
//!
//! In: a thread's switches, wakeups and lock waits inside a call. Out: its parts, each the sum of its own
//! slices, never a remainder. A slice whose begin or end was not seen counts nowhere, and the kernel's own
//! count of switches tells: what is missed becomes `unaccounted`.

use profiler_common::outcome::Outcome;
use profiler_common::part::Part;
use profiler_common::stack::NO_STACK;

use crate::global;
use crate::outcome::count;
use crate::stack::{self, Buffer};
use crate::state::{NESTING, Slice, Thread, wait};
use crate::task::{self, Task};

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
        wait: wait::SLEEP,
        spins: 0,
        early: u32::from(!global::slots_usable()),
        pad: 0,
    };
}

/// The thread leaves the CPU inside a call.
#[inline(never)]
pub fn leaves(thread: &mut Thread, task: Task, preempted: bool, now: u64) -> u32 {
    let switches = task::switches(task);
    add_running(thread, now, switches.wrapping_sub(1));
    let kind = if preempted || task::is_runnable(task) { wait::RUNNABLE } else { lock_waited_for(thread) };
    if kind == wait::RUNNABLE && !preempted {
        count(Outcome::RunnableUnwoken, 1);
    }
    let slice = &mut thread.slice;
    slice.wait = kind;
    slice.switches = switches;
    slice.woken_ns = 0;
    slice.out_ns = now;
    0
}

/// [`wait::LOCK`] while a wait for a sleeping lock is open, whose stack is noted.
#[inline(always)]
fn lock_waited_for(thread: &mut Thread) -> u32 {
    for index in 0..NESTING {
        let open = &thread.waits[index];
        if open.lock != 0 && open.own == 0 {
            thread.slice.lock_stack = open.kernel;
            return wait::LOCK;
        }
    }
    wait::SLEEP
}

/// Ends the slice on the CPU, if its begin was seen and nothing happened since.
#[inline(always)]
fn add_running(thread: &mut Thread, now: u64, switches: u64) {
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

#[inline(always)]
fn missed(thread: &Thread) {
    if thread.slice.early == 0 {
        count(Outcome::SwitchMissed, 1);
    }
}

/// The thread comes back to a CPU inside a call.
#[inline(never)]
pub fn comes_back(thread: &mut Thread, task: Task, now: u64) -> u32 {
    let switches = task::switches(task);
    let slice = thread.slice;
    thread.slice.on_ns = now;
    thread.slice.out_ns = 0;
    thread.slice.switches = switches;
    if slice.spins != 0 {
        thread.slice.spin_ns = now;
    }
    if slice.out_ns == 0 || slice.switches != switches {
        missed(thread);
        return 0;
    }
    let waited = now.saturating_sub(slice.out_ns);
    match slice.wait {
        wait::RUNNABLE => thread.parts.ns[Part::Preempted as usize] += waited,
        _ if slice.woken_ns < slice.out_ns => count(Outcome::WakeupMissed, 1),
        kind => {
            let asleep = slice.woken_ns - slice.out_ns;
            let part = if kind == wait::LOCK { Part::LockSleep } else { Part::Sleep };
            thread.parts.ns[part as usize] += asleep;
            thread.parts.ns[Part::Woken as usize] += waited.saturating_sub(asleep);
        }
    }
    take_stack(thread, task, waited);
    0
}

/// Keeps the kernel stack of a wait that is long, and the longest of its kind in this call.
#[inline(always)]
fn take_stack(thread: &mut Thread, task: Task, waited: u64) {
    let kind = thread.slice.wait as usize;
    if waited < global::wait_min_ns() || kind >= wait::KINDS || waited <= thread.parts.longest_ns[kind] {
        return;
    }
    if kind == wait::LOCK as usize {
        thread.parts.lock_stack = thread.slice.lock_stack;
    }
    let stack = stack::of_task(task, Buffer::Switch);
    if stack != NO_STACK {
        thread.parts.longest_ns[kind] = waited;
        thread.parts.wait_stacks[kind] = stack;
    }
}

/// A sleeping thread becomes runnable.
#[inline(always)]
pub fn woken(thread: &mut Thread, now: impl FnOnce() -> u64) {
    let slice = &mut thread.slice;
    if slice.out_ns != 0 && slice.woken_ns == 0 {
        slice.woken_ns = now();
    }
}

/// The call ends, or is interrupted, on the CPU.
#[inline(always)]
pub fn ends(thread: &mut Thread, task: Task, now: u64) {
    add_running(thread, now, task::switches(task));
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
    thread.slice.spins = spins as u32;
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
