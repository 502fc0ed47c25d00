//! Who burns CPU.
//!
//! In: ranked samples. Out: a finding about the busiest program, and the sums it shares with the table.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::{Confidence, Finding, rank};
use super::{Ranked, humane, process};
use crate::profile::{Pid, Profile};
use crate::render::group::{self, Group};
use crate::render::rows::CpuLine;

pub fn busiest(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let processes = cpu_by_process(&ranked.cpu);
    let groups = group::groups(&processes, |(pid, _)| group::key(profile, *pid, ()), |(_, samples)| *samples);
    let worst = groups.first()?;
    let ((pid, _), samples) = (*worst.first(), worst.weight());
    let who = match worst.lines().len() {
        1 => format!("pid {}", pid.0),
        many => format!("{} processes", humane::count(many as u64)),
    };
    let (function, in_function) = top_function(ranked, worst);
    let all: u64 = ranked.cpu.iter().map(|line| line.samples).fold(0, u64::saturating_add);
    let sentence = format!(
        "CPU: {} of {} samples in {} ({who}), {} of those in {function}.",
        humane::part(samples, all),
        humane::count(all),
        process(profile, pid),
        humane::part(in_function, samples),
    );
    Some(Finding {
        rule: "cpu",
        rank: rank::CPU,
        sentence,
        confidence: Confidence::High,
        threshold: "",
        evidence: vec![("samples", samples), ("all_samples", all), ("function_samples", in_function)],
    })
}

/// The function most samples of a group fell into.
pub fn top_function<'r>(ranked: &'r Ranked<'_>, group: &Group<'_, (Pid, u64)>) -> (&'r str, u64) {
    let pids: BTreeSet<Pid> = group.lines().iter().map(|(pid, _)| *pid).collect();
    let mut functions: BTreeMap<&str, u64> = BTreeMap::new();
    for line in ranked.cpu.iter().filter(|line| pids.contains(&line.pid)) {
        let sum = functions.entry(&line.function).or_default();
        *sum = sum.saturating_add(line.samples);
    }
    functions.into_iter().max_by_key(|(_, samples)| *samples).unwrap_or_default()
}

/// Samples per process, most first.
pub fn cpu_by_process(lines: &[CpuLine]) -> Vec<(Pid, u64)> {
    let mut sums: BTreeMap<Pid, u64> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry(line.pid).or_default();
        *sum = sum.saturating_add(line.samples);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, samples)| std::cmp::Reverse(*samples));
    sums
}
