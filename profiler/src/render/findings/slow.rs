//! A row of slow calls in a sentence.
//!
//! In: the row. Out: what its wall time was, where parts were recorded; else how much of it was off the CPU.

use std::collections::BTreeMap;

use super::{Confidence, Finding, Ranked, parts, process, telling_function, threshold};
use crate::profile::rows::CallNumber;
use crate::profile::{Pid, Profile};
use crate::render::rows::SyscallLine;
use crate::render::{clean, humane};

/// The finding about one row of slow calls.
pub fn finding(
    profile: &Profile,
    ranked: &Ranked<'_>,
    line: &SyscallLine<'_>,
    (rule, rank): (&'static str, u8),
) -> Finding {
    parts::finding(profile, ranked, line, (rule, rank)).unwrap_or_else(|| Finding {
        rule,
        rank,
        sentence: slow_call(profile, line),
        confidence: Confidence::High,
        threshold: "calls ≥ slow_ns",
        evidence: vec![
            ("calls", line.slow.count),
            ("total_ns", line.slow.total_ns),
            ("off_cpu_ns", line.slow.off_cpu_ns),
            ("max_ns", line.slow.max_ns),
            ("slow_ns", profile.header.slow_ns),
        ],
    })
}

fn slow_call(profile: &Profile, line: &SyscallLine<'_>) -> String {
    let place = mostly_in(profile, line.pid, line.nr).map_or_else(String::new, |place| format!("; {place}"));
    format!(
        "{} in {} (pid {}): {} call{}{}, {} in all ({} off the CPU), longest {}{place}.",
        line.name,
        process(profile, line.pid),
        line.pid.0,
        humane::count(line.slow.count),
        if line.slow.count == 1 { "" } else { "s" },
        threshold(profile),
        humane::duration(line.slow.total_ns),
        humane::part(line.slow.off_cpu_ns, line.slow.total_ns),
        humane::duration(line.slow.max_ns),
    )
}

fn mostly_in(profile: &Profile, pid: Pid, nr: CallNumber) -> Option<String> {
    let mut weights: BTreeMap<&str, u64> = BTreeMap::new();
    let mut total = 0u64;
    for (key, row) in profile.syscall.slow.iter().filter(|(key, _)| (key.pid, key.nr) == (pid, nr)) {
        total = total.saturating_add(row.total_ns);
        if let Some(function) = telling_function(profile, key.kernel) {
            let weight = weights.entry(function).or_default();
            *weight = weight.saturating_add(row.total_ns);
        }
    }
    let (function, weight) = weights.into_iter().max_by_key(|(_, weight)| *weight)?;
    Some(format!("{} of it in {}", humane::part(weight, total), clean::name(function)))
}
