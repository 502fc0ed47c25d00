//! A switch that no program saw.
//!
//! In: the thread it is missing from. Out: a count; none for a call that began before switches were seen.

use profiler_common::outcome::Outcome;

use crate::thread::Thread;
use crate::world::World;

/// Counts it.
#[inline(always)]
pub fn missed(world: &impl World, thread: &Thread) {
    if thread.slice.early.get() == 0 {
        world.count(Outcome::SwitchMissed);
    }
}
