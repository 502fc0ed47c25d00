//! Losses that only the end of a recording knows.
//!
//! In: what was recorded, what its programs skipped. Out: counts in the end's ledger.

use crate::profile::{Class, End, FrameSpace, Profile, Resolution};

/// How the names of the `lock` probe's programs begin.
const LOCK_PROGRAMS: [&str; 5] = ["contention_", "enter_", "leave_", "kprobe_", "kretprobe_"];

/// Likewise of those that follow threads.
const SWITCH_PROGRAMS: [&str; 4] = ["sched_", "softirq_", "irq_", "local_timer_"];

/// Adds them to the end of a session.
pub fn count(profile: &Profile, end: &mut End) {
    end.ledger.count(Class::InFlightAtEnd, end.in_flight.len() as u64);
    for program in &end.cost.programs {
        let class = match program.program.as_str() {
            "cpu_sample" => Class::SampleRecursionMiss,
            name if name.starts_with("lsm_") => Class::LsmRecursionMiss,
            name if SWITCH_PROGRAMS.iter().any(|prefix| name.starts_with(prefix)) => {
                Class::SwitchRecursionMiss
            }
            name if LOCK_PROGRAMS.iter().any(|prefix| name.starts_with(prefix)) => Class::LockRecursionMiss,
            _ => Class::RecursionMiss,
        };
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
