//! Switches and wakeups of threads.
//!
//! In: a switch or wakeup. Out: the slices of each thread's call and, for the `offcpu` and `runq` probes, its waits outside
//! of calls, too. The slot's call moves to the thread that leaves.

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use profiler_common::outcome::Outcome;
use profiler_common::syscall::verdict;
use profiler_state::thread::{Thread, flag};
use profiler_state::{away, call};

use crate::blame::{outsider, owner};
use crate::clock::now_ns;
use crate::global;
use crate::outcome::count;
use crate::runq::neighbour;
use crate::syscall::asked;
use crate::task::{self, Task};
use crate::thread::world::Of;
use crate::thread::{record, slot};

/// `prev` is switched out, `next` is switched in. Each has its own branch: the verifier accepts no pointer that is chosen
/// by arithmetic.
#[inline(always)]
pub fn switch(preempted: bool, prev: Task, next: Task) {
    if let Some(slot) = slot::get() {
        if slot.verdict.get() == verdict::INSIDE && slot.in_call.get() != 0 {
            match record::get(prev) {
                // The kernel has counted this switch already.
                Some(thread) => call::moves(&Of(prev), thread, slot, task::switches(prev).wrapping_sub(1)),
                None => count(Outcome::ThreadStateFull, 1),
            }
        }
        slot::forget(slot);
    }
    if is_ignored(global::ignore_switches()) {
        return;
    }
    let mut now = 0;
    if global::runq_rows() != 0 {
        now = now_ns();
        neighbour::left(prev, now);
    }
    if let Some(thread) = record::get(prev) {
        if is_followed(thread) {
            if now == 0 {
                now = now_ns();
            }
            leaves(thread, prev, preempted, now);
        }
    } else if global::offcpu_rows() != 0 && outsider::may_be(prev) {
        outsider::leaves(prev, if preempted { 0 } else { task::state(prev) }, now_ns());
    }
    if let Some(thread) = record::get(next) {
        if is_followed(thread) && !is_ignored(global::ignore_arrivals()) {
            if now == 0 {
                now = now_ns();
            }
            comes_back(thread, next, now);
        }
    } else if global::offcpu_rows() != 0 && outsider::may_be(next) {
        outsider::comes_back(next, now_ns());
    }
}

#[inline(never)]
fn leaves(thread: &Thread, task: Task, preempted: bool, now: u64) -> u32 {
    if thread.is(flag::UNTOLD) {
        // It is in the kernel: its registers tell why.
        call::told(thread, asked::of(task));
    }
    owner::note(thread, task, preempted);
    away::leaves(&Of(task), thread, preempted, now);
    0
}

#[inline(never)]
fn comes_back(thread: &Thread, task: Task, now: u64) -> u32 {
    away::comes_back(&Of(task), thread, now);
    0
}

/// Whether the thread's waits count: inside of calls, or everywhere.
#[inline(always)]
fn is_followed(thread: &Thread) -> bool {
    global::follows_all() || thread.is(flag::IN_CALL | flag::UNTOLD)
}

/// Whether this switch is among those ignored on purpose, so many of 1,000: tests look at what becomes of their time.
#[inline(always)]
fn is_ignored(permille: u32) -> bool {
    // SAFETY: the helper has no preconditions.
    if permille == 0 || unsafe { bpf_get_prandom_u32() } % 1000 >= permille {
        return false;
    }
    count(Outcome::SwitchIgnored, 1);
    true
}

/// `task` becomes runnable.
#[inline(always)]
pub fn wakeup(task: Task) {
    if let Some(thread) = record::get(task)
        && is_followed(thread)
    {
        away::woken(&Of(task), thread, now_ns);
    }
}
