//! Switches and wakeups of threads. Hooks: BTF tracepoints `sched_switch`, `sched_wakeup`.
//!
//! Produces: the slices of each thread's call (see `slice`, `away`), and for the `offcpu` and `runq` probes its waits outside
//! of calls, too; the slot's call moves to the thread that leaves.

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use profiler_common::outcome::Outcome;
use profiler_common::syscall::verdict;

use crate::clock::now_ns;
use crate::outcome::count;
use crate::state::{Thread, flag};
use crate::task::{self, Task};
use crate::{away, global, neighbour, slot, thread};

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
    if is_ignored(global::ignore_switches()) {
        return;
    }
    let mut now = 0;
    if global::runq_rows() != 0 {
        now = now_ns();
        neighbour::left(prev, now);
    }
    if let Some(thread) = thread::get(prev)
        && is_followed(thread)
    {
        if now == 0 {
            now = now_ns();
        }
        away::leaves(thread, prev, preempted, now);
    }
    if let Some(thread) = thread::get(next)
        && is_followed(thread)
        && !is_ignored(global::ignore_arrivals())
    {
        if now == 0 {
            now = now_ns();
        }
        away::comes_back(thread, next, now);
    }
}

/// Whether the thread's waits count: inside of calls, or everywhere.
#[inline(always)]
fn is_followed(thread: &Thread) -> bool {
    global::follows_all() || thread.flags & flag::IN_CALL != 0
}

/// Whether this is one of so many of 1,000 to ignore on purpose: what becomes of their time must show.
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
    if let Some(thread) = thread::get(task)
        && is_followed(thread)
    {
        away::woken(thread, task, now_ns);
    }
}
