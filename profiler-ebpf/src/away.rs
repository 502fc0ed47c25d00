//! A thread away from the CPU: from switch-out to switch-in it waits.
//!
//! In: its switches and wakeups. Out: the parts of the call it is in that are waits; every wait and its stack for the
//! `offcpu` and `runq` probes.

use profiler_common::outcome::Outcome;
use profiler_common::part::{PARTS, Part};
use profiler_common::stack::NO_STACK;
use profiler_common::wait::Wait;

use crate::outcome::count;
use crate::slice::{add_running, missed};
use crate::stack::{self, Buffer};
use crate::state::{NESTING, Slice, Thread, flag, wait};
use crate::task::{self, Task};
use crate::{global, off_cpu, unseen, waker};

/// The thread leaves the CPU.
#[inline(never)]
pub fn leaves(thread: &mut Thread, task: Task, preempted: bool, now: u64) -> u32 {
    let switches = task::switches(task);
    let in_call = thread.flags & flag::IN_CALL != 0;
    if unseen::is(thread, switches.wrapping_sub(1)) {
        unseen::recover(now);
    } else if in_call {
        add_running(thread, now, switches.wrapping_sub(1));
    }
    let state = if preempted { 0 } else { task::state(task) };
    let wait = if state != 0 {
        blocked_on(thread, state)
    } else if task::is_throttled(task) {
        Wait::Throttled
    } else {
        // Outside of calls that is how a time slice ends.
        if !preempted && in_call {
            count(Outcome::RunnableUnwoken, 1);
        }
        Wait::Preempted
    };
    let slice = &mut thread.slice;
    slice.wait = wait as u16;
    slice.switches = switches;
    slice.woken_ns = 0;
    slice.out_ns = now;
    if global::kernel_accounts() {
        (slice.ran, slice.queued) = unseen::accounts(task);
    }
    thread.waker = waker::UNSEEN;
    0
}

/// What a thread in this state sleeps on; the stack of an open wait for a lock is noted.
#[inline(always)]
fn blocked_on(thread: &mut Thread, state: u32) -> Wait {
    /// `TASK_UNINTERRUPTIBLE`; `__TASK_STOPPED`, `__TASK_TRACED` and, since Linux 6.1, `TASK_FROZEN`
    /// (include/linux/sched.h).
    const UNINTERRUPTIBLE: u32 = 2;
    const STOPPED: u32 = 4 | 8 | 0x8000;
    for index in 0..NESTING {
        let open = &thread.waits[index];
        if open.lock != 0 && open.own == 0 {
            thread.slice.lock_stack = open.kernel;
            return Wait::Lock;
        }
    }
    if state & STOPPED != 0 {
        Wait::Stopped
    } else if state & UNINTERRUPTIBLE != 0 {
        Wait::Uninterruptible
    } else {
        Wait::Sleep
    }
}

/// The thread comes back to a CPU.
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
        leave_unseen(thread, slice.out_ns);
        return 0;
    }
    let wait = u32::from(slice.wait);
    let (mut queue, mut queued_ns) = (wait, slice.out_ns);
    if !wait::is_runnable(wait) {
        (queue, queued_ns) = (u32::from(slice.queue), slice.woken_ns);
        if slice.woken_ns < slice.out_ns {
            count(Outcome::WakeupMissed, 1);
            queued_ns = now;
        } else {
            add_part(thread, wait, queued_ns - slice.out_ns);
        }
    }
    if slice.woken_ns >= slice.out_ns || wait::is_runnable(wait) {
        add_part(thread, queue, now.saturating_sub(queued_ns));
    }
    let stack = take_stack(thread, task, now.saturating_sub(slice.out_ns));
    if !wait::is_runnable(wait) {
        off_cpu::blocked(thread, task, queued_ns.saturating_sub(slice.out_ns), stack);
    }
    if queued_ns < now {
        off_cpu::queued(thread, task, queue, (queued_ns, now));
    }
    0
}

/// A wait whose begin was not seen: it was before attach, or a switch was missed.
#[inline(always)]
fn leave_unseen(thread: &Thread, out_ns: u64) {
    if out_ns == 0 && (thread.flags & flag::IN_CALL == 0 || thread.slice.early != 0) {
        if global::follows_all() {
            count(Outcome::WaitBeforeAttach, 1);
        }
    } else {
        missed(thread);
    }
}

/// Adds to the part of the call, if the thread is in one, that a wait is: the parts of the next begin at 0.
#[inline(always)]
pub fn add_part(thread: &mut Thread, wait: u32, ns: u64) {
    // By arithmetic: the verifier would go on with one state for each branch.
    let part = if wait::is_runnable(wait) {
        wait - Wait::Woken as u32 + Part::Woken as u32
    } else {
        Part::Sleep as u32 - u32::from(wait == Wait::Lock as u32)
    };
    // The mask is for verifiers: where one copy of the number is checked and another one used, it stays in the record.
    let part = part as usize & 15;
    if part < PARTS {
        thread.parts.ns[part] += ns;
    }
}

const _: () = assert!(Part::LockSleep as u32 + 1 == Part::Sleep as u32);
const _: () = assert!(
    Part::Preempted as u32 - Part::Woken as u32 == Wait::Preempted as u32 - Wait::Woken as u32
        && Part::Throttled as u32 - Part::Woken as u32 == Wait::Throttled as u32 - Wait::Woken as u32
);

/// The kernel stack of a wait that is long: in a call, if it is the longest of its kind; for the `offcpu` probe, if
/// it blocked.
#[inline(always)]
fn take_stack(thread: &mut Thread, task: Task, waited: u64) -> u64 {
    let kind = wait::kind(u32::from(thread.slice.wait)) as usize;
    if waited < global::wait_min_ns() || kind >= wait::KINDS {
        return NO_STACK;
    }
    let longest = thread.flags & flag::IN_CALL != 0 && waited > thread.parts.longest_ns[kind];
    if !longest && (global::offcpu_rows() == 0 || kind == wait::RUNNABLE as usize) {
        return NO_STACK;
    }
    let stack = stack::of_task(task, Buffer::Switch);
    if longest && kind == wait::LOCK as usize {
        thread.parts.lock_stack = thread.slice.lock_stack;
    }
    if longest && stack != NO_STACK {
        thread.parts.longest_ns[kind] = waited;
        thread.parts.wait_stacks[kind] = stack;
    }
    stack
}

/// Since when the thread is blocked.
#[inline(always)]
pub fn sleeps_since(thread: &Thread) -> Option<u64> {
    let Slice { out_ns, wait, .. } = thread.slice;
    (out_ns != 0 && !wait::is_runnable(u32::from(wait))).then_some(out_ns)
}

/// A sleeping thread becomes runnable.
#[inline(always)]
pub fn woken(thread: &mut Thread, task: Task, now: impl FnOnce() -> u64) {
    let slice = &mut thread.slice;
    if slice.out_ns != 0 && slice.woken_ns == 0 {
        slice.woken_ns = now();
        slice.queue = if task::is_throttled(task) { Wait::Throttled } else { Wait::Woken } as u16;
    }
}
