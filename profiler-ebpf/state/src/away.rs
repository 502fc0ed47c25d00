//! A thread away from the CPU: from switch-out to switch-in it waits.
//!
//! In: its switches and wakeups. Out: the waits among the parts of its call; every wait with its stack for the
//! `offcpu` and `runq` probes.

use profiler_common::outcome::Outcome;
use profiler_common::stack::NO_STACK;
use profiler_common::wait::Wait;

use crate::missed::missed;
use crate::slice::add_running;
use crate::thread::Thread;
use crate::world::World;
use crate::{unseen, wait_kind, waker};

/// The thread leaves the CPU.
#[inline(always)]
pub fn leaves(world: &impl World, thread: &Thread, preempted: bool, now: u64) {
    let switches = world.switches();
    let in_call = thread.in_call();
    if unseen::is(thread, switches.wrapping_sub(1)) {
        world.recover(thread, now);
    } else if in_call {
        add_running(world, thread, now, switches.wrapping_sub(1));
    }
    let state = if preempted { 0 } else { world.state() };
    let wait = if state != 0 {
        blocked_on(thread, state)
    } else if world.is_throttled() {
        Wait::Throttled
    } else {
        // Outside of calls that is how a time slice ends.
        if !preempted && in_call {
            world.count(Outcome::RunnableUnwoken);
        }
        Wait::Preempted
    };
    let slice = &thread.slice;
    slice.wait.set(wait as u16);
    // Until a wakeup says otherwise: that of the wait before is over.
    slice.queue.set(Wait::Woken as u16);
    slice.switches.set(switches);
    slice.woken_ns.set(0);
    unseen::note_accounts(world, thread);
    thread.waker.set(&waker::UNSEEN);
    // Last: from here on, another CPU may write who wakes it.
    slice.out_ns.set(now);
}

/// What a thread in this state sleeps on; the stack of an open wait for a lock is noted.
#[inline(always)]
fn blocked_on(thread: &Thread, state: u32) -> Wait {
    if let Some(kernel) = thread.waits.stack_of_open() {
        thread.slice.lock_stack.set(kernel);
        Wait::Lock
    } else {
        asleep_in(state)
    }
}

/// What a thread that is in this state, and in no wait for a lock, sleeps on.
#[inline(always)]
pub fn asleep_in(state: u32) -> Wait {
    /// `TASK_UNINTERRUPTIBLE`; `__TASK_STOPPED`, `__TASK_TRACED` and, since Linux 6.1, `TASK_FROZEN`
    /// (include/linux/sched.h).
    const UNINTERRUPTIBLE: u32 = 2;
    const STOPPED: u32 = 4 | 8 | 0x8000;
    if state & STOPPED != 0 {
        Wait::Stopped
    } else if state & UNINTERRUPTIBLE != 0 {
        Wait::Uninterruptible
    } else {
        Wait::Sleep
    }
}

/// A thread that was never seen is off the CPU: its wait since `now`, which began before. Whoever calls this makes sure
/// that it was so all the time.
#[inline(always)]
pub fn seed(world: &impl World, thread: &Thread, wait: Wait, now: u64) {
    let slice = &thread.slice;
    slice.wait.set(wait as u16);
    slice.queue.set(Wait::Woken as u16);
    slice.switches.set(world.switches());
    slice.woken_ns.set(0);
    slice.early.set(1);
    unseen::note_accounts(world, thread);
    thread.waker.set(&waker::UNSEEN);
    slice.out_ns.set(now);
}

/// It was not so: what was seeded goes.
#[inline(always)]
pub fn unseed(thread: &Thread) {
    thread.slice.out_ns.set(0);
}

/// The thread comes back to a CPU.
#[inline(always)]
pub fn comes_back(world: &impl World, thread: &Thread, now: u64) {
    let (switches, slice) = (world.switches(), &thread.slice);
    let (out_ns, woken_ns) = (slice.out_ns.get(), slice.woken_ns.get());
    let left_at = slice.switches.get();
    slice.on_ns.set(now);
    slice.out_ns.set(0);
    slice.switches.set(switches);
    if slice.spins.get() != 0 {
        slice.spin_ns.set(now);
    }
    if out_ns == 0 || left_at != switches {
        leave_unseen(world, thread, out_ns);
        return;
    }
    let wait = u32::from(slice.wait.get());
    let (mut queue, mut queued_ns) = (wait, out_ns);
    if !wait_kind::is_runnable(wait) {
        (queue, queued_ns) = (u32::from(slice.queue.get()), woken_ns);
        if woken_ns < out_ns {
            world.count(Outcome::WakeupMissed);
            queued_ns = now;
        } else {
            thread.parts.add_wait(wait, queued_ns - out_ns);
        }
    }
    if woken_ns >= out_ns || wait_kind::is_runnable(wait) {
        thread.parts.add_wait(queue, now.saturating_sub(queued_ns));
    }
    let stack = take_stack(world, thread, wait, now.saturating_sub(out_ns));
    if !wait_kind::is_runnable(wait) {
        world.blocked(thread, queued_ns.saturating_sub(out_ns), stack);
    }
    if queued_ns < now {
        world.queued(thread, queue, queued_ns, now);
    }
}

/// A wait whose begin was not seen: it was before attach, or a switch was missed.
#[inline(always)]
fn leave_unseen(world: &impl World, thread: &Thread, out_ns: u64) {
    if out_ns == 0 && (!thread.in_call() || thread.slice.early.get() != 0) {
        if world.follows_all() {
            world.count(Outcome::WaitBeforeAttach);
        }
    } else {
        missed(world, thread);
    }
}

/// The kernel stack of a wait that is long: in a call, if it is the longest of its kind; for the `offcpu` probe, if
/// it blocked.
#[inline(always)]
fn take_stack(world: &impl World, thread: &Thread, wait: u32, waited: u64) -> u64 {
    let (kind, parts) = (wait_kind::of(wait) as usize, &thread.parts);
    if waited < world.wait_min_ns() || kind >= wait_kind::KINDS {
        return NO_STACK;
    }
    let longest = thread.in_call() && waited > parts.longest_ns[kind].get();
    if !longest && (!world.wants_blocked() || kind == wait_kind::RUNNABLE as usize) {
        return NO_STACK;
    }
    let stack = world.stack();
    if longest && kind == wait_kind::LOCK as usize {
        parts.lock_stack.set(thread.slice.lock_stack.get());
    }
    if longest && stack != NO_STACK {
        parts.longest_ns[kind].set(waited);
        parts.wait_stacks[kind].set(stack);
    }
    stack
}

/// Since when the thread is blocked.
#[inline(always)]
pub fn sleeps_since(thread: &Thread) -> Option<u64> {
    let (out_ns, wait) = (thread.slice.out_ns.get(), thread.slice.wait.get());
    (out_ns != 0 && !wait_kind::is_runnable(u32::from(wait))).then_some(out_ns)
}

/// A sleeping thread becomes runnable. This may run on another CPU than it will.
#[inline(always)]
pub fn woken(world: &impl World, thread: &Thread, now: impl FnOnce() -> u64) {
    let slice = &thread.slice;
    if slice.out_ns.get() != 0 && slice.woken_ns.get() == 0 {
        slice.queue.set(if world.is_throttled() { Wait::Throttled } else { Wait::Woken } as u16);
        slice.woken_ns.set(now());
    }
}
