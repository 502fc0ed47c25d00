//! What findings about waits share: thresholds as shares of the recorded time.
//!
//! In: sums. Out: whether they are worth a finding.

use std::collections::BTreeSet;

use crate::profile::rows::CallNumber;
use crate::profile::{Pid, Profile};

/// Whether it is so much of the recorded time, and anything at all.
pub fn percent_of_time(profile: &Profile, ns: u64, percent: u64) -> bool {
    ns > 0 && u128::from(ns) * 100 >= u128::from(profile.duration_ns.max(1)) * u128::from(percent)
}

/// What those processes spent in that call, ns; 0: calls have no rows.
pub fn time_in(profile: &Profile, pids: &BTreeSet<Pid>, nr: CallNumber) -> u64 {
    let calls = pids.iter().filter_map(|pid| profile.syscall.rows.get(&(*pid, nr)));
    calls.map(|row| row.latency.total_ns).fold(0, u64::saturating_add)
}
