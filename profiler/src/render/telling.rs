//! The function of a kernel stack that best says what a thread waited for.
//!
//! In: a stack. Out: its first function that is not the scheduler's.

use super::locks;
use super::name::kernel_functions;
use crate::profile::{Profile, StackId};

/// Functions that only say "asleep": their callers matter.
pub const ASLEEP: &[&str] = &[
    "__schedule",
    "schedule",
    "schedule_timeout",
    "schedule_hrtimeout_range",
    "schedule_hrtimeout_range_clock",
    "schedule_preempt_disabled",
    "preempt_schedule",
    "preempt_schedule_common",
    "preempt_schedule_irq",
    "schedule_idle",
    "io_schedule",
    "io_schedule_timeout",
    "wait_woken",
    "do_wait_for_common",
    "wait_for_completion",
    "__cond_resched",
    "schedule_hrtimeout",
    "__wait_for_common",
];

/// The first kernel function that says more than "asleep".
pub fn telling_function(profile: &Profile, kernel: StackId) -> Option<&str> {
    kernel_functions(&profile.stacks, kernel).map(locks::base).find(|function| !ASLEEP.contains(function))
}
