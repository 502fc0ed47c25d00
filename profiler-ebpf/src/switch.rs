//! Waits off the CPU inside a call. Hook: BTF tracepoint `sched_switch`.
//!
//! Produces: per thread, the time off the CPU in this call and the kernel stack of its longest
//! wait, taken when the thread comes back and the wait's length is known.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use profiler_common::outcome::Outcome;
use profiler_common::stack::NO_STACK;
use profiler_common::syscall::verdict;

use crate::outcome::count;
use crate::stack::{self, Buffer};
use crate::state::{Thread, flag};
use crate::task::Task;
use crate::{global, slot, thread};

/// `prev` leaves this CPU, `next` comes. One branch per thread: a pointer chosen by arithmetic is
/// nothing the verifier accepts.
#[inline(always)]
pub fn switch(prev: Task, next: Task) {
    if let Some(slot) = slot::get() {
        if slot.verdict == verdict::INSIDE && slot.in_call != 0 {
            match thread::get(prev) {
                Some(thread) => slot::save(slot, thread),
                None => count(Outcome::ThreadStateFull, 1),
            }
        }
        slot::forget(slot);
    }
    if let Some(thread) = thread::get(prev)
        && thread.flags & flag::IN_CALL != 0
    {
        // SAFETY: the helper has no preconditions.
        thread.out_ns = unsafe { bpf_ktime_get_ns() };
    }
    if let Some(thread) = thread::get(next)
        && thread.flags & flag::IN_CALL != 0
    {
        comes_back(thread, next);
    }
}

#[inline(always)]
fn comes_back(thread: &mut Thread, task: Task) {
    // A call seeded at attach was never seen leaving.
    let since = if thread.out_ns == 0 { thread.enter_ns } else { thread.out_ns };
    thread.out_ns = 0;
    // SAFETY: the helper has no preconditions.
    let wait_ns = unsafe { bpf_ktime_get_ns() }.saturating_sub(since);
    thread.parts.off_cpu_ns += wait_ns;
    if wait_ns < global::wait_min_ns() || wait_ns <= thread.parts.longest_ns {
        return;
    }
    let stack = stack::of_task(task, Buffer::Switch);
    if stack != NO_STACK {
        thread.parts.longest_ns = wait_ns;
        thread.parts.wait_stack = stack;
    }
}
