//! What a finding is, and where it stands among the others.
//!
//! In: a profile and its ranked rows, given to a rule. Out: nothing, or one finding with its numbers; their order:
//! hangs and dead processes, then what cost the target most time, then what has no cost in time.

use std::cmp::Reverse;

use serde::Serialize;

use super::ranked::Ranked;
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
    /// What it cost the target, ns of its threads' time; none if the cost is no time.
    pub cost_ns: Option<u64>,
    /// The value that had to be exceeded; empty when the rule ranks rows and has no threshold.
    pub threshold: &'static str,
    /// The numbers it rests on; units are in their names.
    pub evidence: Vec<(&'static str, u64)>,
}

/// A cost below the recorded time divided by this is little.
const LITTLE: u64 = 200;

impl Finding {
    /// Where it is told: lower is earlier.
    fn place(&self, duration_ns: u64) -> (u8, Reverse<u64>, u8) {
        let tier = match self.cost_ns {
            _ if self.rank <= rank::DEATHS => return (0, Reverse(0), self.rank),
            _ if self.rank >= rank::LEAST => 4,
            Some(cost) if cost > 0 && cost >= duration_ns / LITTLE => 1,
            None => 2,
            Some(_) => 3,
        };
        (tier, Reverse(self.cost_ns.unwrap_or(0)), self.rank)
    }
}

/// Sorts findings, the most telling first.
pub fn sort(found: &mut [Finding], duration_ns: u64) {
    found.sort_by_key(|finding| finding.place(duration_ns));
}

/// A rule: silent, or a finding.
pub type Rule = fn(&Profile, &Ranked<'_>) -> Option<Finding>;

/// Places of findings that cost the same, or have no cost: the lowest is told first. Hangs and killed processes come
/// before all costs.
pub mod rank {
    /// A call that does not return.
    pub const HANG: u8 = 10;
    /// Processes were killed.
    pub const KILLED: u8 = 20;
    /// Processes died.
    pub const DEATHS: u8 = 21;
    /// Stopped by a quota.
    pub const THROTTLED: u8 = 25;
    /// The worst slow call.
    pub const SLOW: u8 = 30;
    /// The one after it.
    pub const SLOW_TOO: u8 = 31;
    /// Waiting for a CPU.
    pub const RUN_QUEUE: u8 = 32;
    /// Stalls outside of calls.
    pub const OUTSIDE: u8 = 33;
    /// Waiting for a disk.
    pub const DISK: u8 = 33;
    /// Waiting for a peer.
    pub const PEER: u8 = 33;
    /// A call that was under way at the end.
    pub const UNDER_WAY: u8 = 33;
    /// Futex waits.
    pub const USER_LOCKS: u8 = 33;
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
    /// Who was stopped by a quota that is told already.
    pub const THROTTLED_WHO: u8 = 46;
    /// CPU samples.
    pub const CPU: u8 = 50;
    /// Processes that end with an error code again and again.
    pub const EXITS: u8 = 60;
    /// What is nearly normal.
    pub const LEAST: u8 = 90;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cost_most_is_told_first_behind_hangs_and_kills() {
        let finding = |rule, rank, cost_ns| Finding {
            rule,
            rank,
            sentence: String::new(),
            confidence: Confidence::High,
            cost_ns,
            threshold: "",
            evidence: Vec::new(),
        };
        let mut found = vec![
            finding("nothing slow", rank::SLOW, None),
            finding("trivia", rank::SLOW, Some(11)),
            finding("memory", rank::MEMORY_LIMIT, Some(400)),
            finding("normal", rank::LEAST, Some(9_000)),
            finding("cpu", rank::CPU, Some(5_000)),
            finding("killed", rank::KILLED, None),
            finding("hang", rank::HANG, Some(1)),
            finding("drops", rank::NETWORK, None),
        ];
        sort(&mut found, 10_000);
        let order: Vec<_> = found.iter().map(|finding| finding.rule).collect();
        assert_eq!(order, ["hang", "killed", "cpu", "memory", "nothing slow", "drops", "trivia", "normal"]);
    }
}
