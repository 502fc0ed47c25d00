//! What a finding is, and where it stands among the others.
//!
//! In: a profile and its ranked rows, given to a rule. Out: nothing, or one finding with its numbers.

use serde::Serialize;

use super::Ranked;
use crate::profile::Profile;

/// How sure a rule is that this is what the time went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Measured on the target itself.
    High,
    /// Measured, but others may be to blame or to suffer.
    Medium,
    /// A hint.
    Low,
}

/// What a rule found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Its place, see [`rank`].
    pub rank: u8,
    /// One plain sentence with its numbers.
    pub sentence: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// What had to be passed; empty when it ranks rows and has no threshold.
    pub threshold: &'static str,
    /// The numbers it rests on; units are in their names.
    pub evidence: Vec<(&'static str, u64)>,
}

/// A rule: silent, or a finding.
pub type Rule = fn(&Profile, &Ranked<'_>) -> Option<Finding>;

/// Places of findings: the lowest is told first.
pub mod rank {
    /// A call that does not return.
    pub const HANG: u8 = 10;
    /// Processes were killed.
    pub const KILLED: u8 = 20;
    /// Stopped by a quota.
    pub const THROTTLED: u8 = 25;
    /// Much waiting for a CPU.
    pub const RUN_QUEUE_MUCH: u8 = 28;
    /// Long stalls outside of calls.
    pub const OUTSIDE_MUCH: u8 = 29;
    /// The worst slow call.
    pub const SLOW: u8 = 30;
    /// The one after it.
    pub const SLOW_TOO: u8 = 31;
    /// Waiting for a CPU.
    pub const RUN_QUEUE: u8 = 32;
    /// Stalls outside of calls.
    pub const OUTSIDE: u8 = 32;
    /// A call that was under way at the end.
    pub const UNDER_WAY: u8 = 33;
    /// The target's memory limit.
    pub const MEMORY_LIMIT: u8 = 34;
    /// The target's pressure.
    pub const PRESSURE: u8 = 35;
    /// The target's major faults.
    pub const FAULTS: u8 = 36;
    /// The hypervisor.
    pub const STEAL: u8 = 37;
    /// Lock waits.
    pub const LOCKS: u8 = 40;
    /// Waits that another tracer causes.
    pub const TRACING: u8 = 41;
    /// The security layer.
    pub const SECURITY: u8 = 41;
    /// The network.
    pub const NETWORK: u8 = 42;
    /// The machine as a whole.
    pub const MACHINE: u8 = 43;
    /// One process that ends another's waits.
    pub const WAKER: u8 = 44;
    /// Futex waits.
    pub const USER_LOCKS: u8 = 45;
    /// Who was stopped by a quota that is told already.
    pub const THROTTLED_WHO: u8 = 46;
    /// CPU samples.
    pub const CPU: u8 = 50;
    /// What is nearly normal.
    pub const LEAST: u8 = 90;
}
