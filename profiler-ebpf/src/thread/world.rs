//! A thread's surroundings, for the state machines of `profiler_state`.
//!
//! In: a task. Out: what the kernel knows of it; the rows of its waits.

use profiler_common::outcome::Outcome;
use profiler_state::thread::Thread;
use profiler_state::unseen;
use profiler_state::world::World;

use crate::global::{self, offset};
use crate::offcpu::blocked;
use crate::outcome::count;
use crate::runq::queued;
use crate::stack;
use crate::stack::buffer::Buffer;
use crate::task::read::load;
use crate::task::{self, Task};
use crate::thread::record;

/// A task of the kernel.
pub struct Of(pub Task);

/// Recovers the switch-in of the running thread, which no program saw. A global function: the verifier walks it once,
/// not once for every caller.
#[unsafe(no_mangle)]
#[inline(never)]
fn recover(now: u64) -> u32 {
    let task = task::current();
    if let Some(thread) = record::get(task) {
        unseen::recover(&Of(task), thread, now);
    }
    0
}

impl World for Of {
    #[inline(always)]
    fn switches(&self) -> u64 {
        task::switches(self.0)
    }

    #[inline(always)]
    fn state(&self) -> u32 {
        task::state(self.0)
    }

    #[inline(always)]
    fn is_throttled(&self) -> bool {
        task::is_throttled(self.0)
    }

    #[inline(always)]
    fn accounts(&self) -> (u64, u64) {
        // SAFETY: a BTF pointer.
        unsafe { (load(self.0.cast(), offset!(task_ran)), load(self.0.cast(), offset!(task_queued))) }
    }

    #[inline(always)]
    fn stack(&self) -> u64 {
        stack::of_task(self.0, Buffer::Switch)
    }

    #[inline(always)]
    fn follows_all(&self) -> bool {
        global::follows_all()
    }

    #[inline(always)]
    fn counts_switches(&self) -> bool {
        global::have_offsets() != 0
    }

    #[inline(always)]
    fn has_accounts(&self) -> bool {
        global::kernel_accounts()
    }

    #[inline(always)]
    fn wants_blocked(&self) -> bool {
        global::offcpu_rows() != 0
    }

    #[inline(always)]
    fn is_early(&self) -> bool {
        !global::slots_usable()
    }

    #[inline(always)]
    fn wait_min_ns(&self) -> u64 {
        global::wait_min_ns()
    }

    #[inline(always)]
    fn count(&self, outcome: Outcome) {
        count(outcome, 1);
    }

    #[inline(always)]
    fn blocked(&self, thread: &Thread, ns: u64, kernel: u64) {
        blocked::add(thread, self.0, ns, kernel);
    }

    #[inline(always)]
    fn queued(&self, thread: &Thread, wait: u32, since: u64, now: u64) {
        queued::add(thread, self.0, wait, (since, now));
    }

    #[inline(always)]
    fn queued_unseen(&self, thread: &Thread, wait: u32, ns: u64) {
        queued::add_unseen(thread, self.0, wait, ns);
    }

    #[inline(always)]
    fn recover(&self, _thread: &Thread, now: u64) {
        recover(now);
    }
}
