//! What lock waits add to the call that they delay: time spent spinning. Time asleep comes from the switches.
//!
//! In: spins that ended, phases of mutex waits. Out: the parts of the running thread's call.

use profiler_state::lock_wait::LockWait;
use profiler_state::slice;

use crate::clock::now_ns;
use crate::lock::row;
use crate::task;
use crate::thread::slot;

/// Adds a spin to its row, and to the call it is in, unless an interrupt spun on top of that.
#[inline(always)]
pub fn add_spin(wait: &LockWait, now: u64) {
    if wait.in_task.get() != 0
        && let Some(thread) = slot::moved(task::current())
    {
        slice::spun(thread, now.saturating_sub(wait.begin_ns.get()), wait.kernel.get());
    }
    row::add(wait, now);
}

/// The running thread, which waits for a mutex, begins to spin, or stops spinning.
#[inline(always)]
pub fn mutex_phase(spins: bool) {
    if let Some(thread) = slot::moved(task::current()) {
        slice::mutex_phase(thread, spins, now_ns());
    }
}
