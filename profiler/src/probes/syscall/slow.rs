//! Slow calls in a sentence, for captures without parts.
//!
//! In: slow calls of one program. Out: how much of their time was off the CPU, and where, if stacks show most of it.

use std::collections::BTreeMap;

use super::callers::{Calls, before, callers, slow_sum};
use super::lines::threshold;
use crate::profile::Profile;
use crate::profile::rows::{SlowKey, StackSource};
use crate::render::rule::{Confidence, Finding, rank};
use crate::render::telling::telling_function;
use crate::render::{clean, humane, sampled, syscalls};

/// The finding about slow calls of one program.
pub fn finding(profile: &Profile, group: &Calls<'_, '_>) -> Finding {
    let slow = slow_sum(group);
    let place = mostly_in(profile, group).map_or_else(String::new, |place| format!("; {place}"));
    let sentence = format!(
        "{} in {}: {}{}, {} in all ({} off the CPU), longest {}{}{place}.",
        group.first().name,
        callers(profile, group),
        humane::plural(slow.count, "call"),
        threshold(profile),
        syscalls::time(group.first().nr, slow.total_ns),
        humane::part(slow.off_cpu_ns, slow.total_ns),
        syscalls::time(group.first().nr, slow.max_ns),
        before(profile, group),
    );
    Finding {
        rule: "slow_call",
        rank: rank::SLOW,
        sentence,
        confidence: Confidence::High,
        cost_ns: None,
        threshold: "calls ≥ slow_ns",
        evidence: vec![
            ("calls", slow.count),
            ("total_ns", slow.total_ns),
            ("off_cpu_ns", slow.off_cpu_ns),
            ("max_ns", slow.max_ns),
            ("slow_ns", profile.header.slow_ns),
        ],
    }
}

/// The function that more than half of the time was in; of what was sampled, surely.
fn mostly_in(profile: &Profile, group: &Calls<'_, '_>) -> Option<String> {
    let mut weights: BTreeMap<&str, (u64, u64, bool)> = BTreeMap::new();
    let (mut total, mut calls) = (0u64, 0u64);
    let of = |key: &SlowKey| group.lines().iter().any(|line| (line.pid, line.nr) == (key.pid, key.nr));
    for (key, row) in profile.syscall.slow.iter().filter(|(key, _)| of(key)) {
        (total, calls) = (total.saturating_add(row.total_ns), calls.saturating_add(row.count));
        if let Some(function) = telling_function(profile, key.kernel) {
            let (ns, seen, sampled) = weights.entry(function).or_default();
            (*ns, *seen) = (ns.saturating_add(row.total_ns), seen.saturating_add(row.count));
            *sampled |= key.source == StackSource::Sample;
        }
    }
    let (function, (ns, seen, sampled)) = weights.into_iter().max_by_key(|(_, (ns, ..))| *ns)?;
    let told = ns > total / 2 && (!sampled || sampled::carries(seen, calls).is_some());
    told.then(|| format!("{} of it in {}", humane::part(ns, total), clean::name(function)))
}
