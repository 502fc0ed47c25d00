//! What lock waits are in the call they delay: time spinning; sleep is told by the switches.
//!
//! In: spins that ended, phases of mutex waits. Out: the parts of the running thread's call.

use crate::clock::now_ns;
use crate::state::Wait;
use crate::{slice, slot, task, wait};

/// Adds a spin, to the call it is in, too, unless an interrupt spun on top of that.
#[inline(always)]
pub fn add_spin(wait: &Wait, now: u64) {
    if wait.in_task != 0
        && let Some(thread) = slot::moved(task::current())
    {
        slice::spun(thread, now.saturating_sub(wait.begin_ns), wait.kernel);
    }
    wait::add(wait, now);
}

/// A wait of the running thread for a mutex begins to spin, or ceases to.
#[inline(always)]
pub fn mutex_phase(spins: bool) {
    if let Some(thread) = slot::moved(task::current()) {
        slice::mutex_phase(thread, spins, now_ns());
    }
}
