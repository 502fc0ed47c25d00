//! What findings about waits share: thresholds as shares of the recorded time.
//!
//! In: sums. Out: whether they are worth a finding.

use crate::profile::Profile;

/// Whether it is so much of the recorded time, and anything at all.
pub fn percent_of_time(profile: &Profile, ns: u64, percent: u64) -> bool {
    ns > 0 && u128::from(ns) * 100 >= u128::from(profile.duration_ns.max(1)) * u128::from(percent)
}
