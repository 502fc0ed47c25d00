//! A call that took much of the recording without being slow each time.
//!
//! In: ranked system calls. Out: a finding when one call of one process is open for a quarter of the time or
//! more, and most of that below the threshold of slow calls: otherwise [`super::slowest`] tells it.

use super::rule::{Confidence, Finding, rank};
use super::{Ranked, humane, process, threshold};
use crate::profile::Profile;
use crate::render::syscalls::CallClass;

/// The part of the recorded time that is worth a sentence, as its divisor.
const PART: u64 = 4;

pub fn much_in_one_call(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let work = ranked.syscalls.iter().filter(|line| line.class == CallClass::Work);
    let line = work.max_by_key(|line| line.row.latency.total_ns)?;
    let latency = &line.row.latency;
    let short_ns = latency.total_ns.saturating_sub(line.slow.total_ns);
    if latency.total_ns < profile.duration_ns / PART
        || short_ns < line.slow.total_ns
        || profile.duration_ns == 0
    {
        return None;
    }
    let sentence = format!(
        "{} in {} (pid {}): {} in all while {} were recorded; {} calls, p50 {}, p99 {}. Only {} of it in calls{}: a lower --slow shows where the rest waits.",
        line.name,
        process(profile, line.pid),
        line.pid.0,
        humane::duration(latency.total_ns),
        humane::duration(profile.duration_ns),
        humane::count(latency.count()),
        humane::duration(latency.percentile_ns(500)),
        humane::duration(latency.percentile_ns(990)),
        humane::part(line.slow.total_ns, latency.total_ns),
        threshold(profile),
    );
    Some(Finding {
        rule: "much_in_one_call",
        rank: rank::SLOW,
        sentence,
        confidence: Confidence::High,
        threshold: "total ≥ 25 % of the time, most of it in calls < slow_ns",
        evidence: vec![
            ("total_ns", latency.total_ns),
            ("duration_ns", profile.duration_ns),
            ("calls", latency.count()),
            ("p50_ns", latency.percentile_ns(500)),
            ("p99_ns", latency.percentile_ns(990)),
            ("slow_total_ns", line.slow.total_ns),
        ],
    })
}
