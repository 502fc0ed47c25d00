//! Losses that are only known at the end of a recording.
//!
//! In: what was recorded, what its programs skipped. Out: counts in the end's ledger.

use crate::plan::table::skipped;
use crate::profile::{Class, End, FrameSpace, Profile, Resolution};

/// Adds them to the end of a session.
pub fn count(profile: &Profile, end: &mut End) {
    end.ledger.count(Class::InFlightAtEnd, end.in_flight.len() as u64);
    for program in &end.cost.programs {
        // A test holds the table against the object: no program is left over.
        let class = skipped(&program.program).unwrap_or(Class::UnclaimedRecursionMiss);
        end.ledger.count(class, program.recursion_misses);
    }
    end.ledger.count(Class::StackRingFull, profile.stacks_without_frames() as u64);
    for (id, frame) in profile.stacks.iter_frames() {
        if let Resolution::Unnamed(_) = profile.stacks.resolution(id) {
            let kernel = frame.space == FrameSpace::Kernel;
            end.ledger.count(if kernel { Class::KernelFrameUnnamed } else { Class::UserFrameUnnamed }, 1);
        }
    }
}
