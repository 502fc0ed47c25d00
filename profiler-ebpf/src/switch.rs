//! Switches and wakeups of threads inside a call. Hooks: BTF tracepoints `sched_switch`, `sched_wakeup`.
//!
//! Produces: the slices of each thread's call (see `slice`); the slot's call moves to the thread that
//! leaves. Nothing is kept of threads outside of calls.

use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_ktime_get_ns};
use profiler_common::outcome::Outcome;
use profiler_common::syscall::verdict;

use crate::outcome::count;
use crate::state::flag;
use crate::task::{self, Task};
use crate::{global, slice, slot, thread};

#[inline(always)]
fn now_ns() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// `prev` leaves this CPU, `next` comes. One branch per thread: a pointer chosen by arithmetic is
/// nothing the verifier accepts.
#[inline(always)]
pub fn switch(preempted: bool, prev: Task, next: Task) {
    if let Some(slot) = slot::get() {
        if slot.verdict == verdict::INSIDE && slot.in_call != 0 {
            match thread::get(prev) {
                // The kernel has counted this switch already.
                Some(thread) => slot::save(slot, thread, task::switches(prev).wrapping_sub(1)),
                None => count(Outcome::ThreadStateFull, 1),
            }
        }
        slot::forget(slot);
    }
    if ignored() {
        return;
    }
    let mut now = 0;
    if let Some(thread) = thread::get(prev)
        && thread.flags & flag::IN_CALL != 0
    {
        now = now_ns();
        slice::leaves(thread, prev, preempted, now);
    }
    if let Some(thread) = thread::get(next)
        && thread.flags & flag::IN_CALL != 0
    {
        if now == 0 {
            now = now_ns();
        }
        slice::comes_back(thread, next, now);
    }
}

/// Whether this switch is one to ignore on purpose: what the slices then miss must show.
#[inline(always)]
fn ignored() -> bool {
    // SAFETY: the helper has no preconditions.
    if global::ignore_switches() == 0 || unsafe { bpf_get_prandom_u32() } % 1000 >= global::ignore_switches()
    {
        return false;
    }
    count(Outcome::SwitchIgnored, 1);
    true
}

/// `task` becomes runnable.
#[inline(always)]
pub fn wakeup(task: Task) {
    if let Some(thread) = thread::get(task)
        && thread.flags & flag::IN_CALL != 0
    {
        slice::woken(thread, now_ns);
    }
}
