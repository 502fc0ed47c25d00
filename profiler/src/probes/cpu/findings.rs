//! Who burns CPU.
//!
//! In: ranked samples. Out: a finding about the busiest program, and whether it must be shown.

use super::lines::{cpu_by_process, top_function};
use crate::profile::Profile;
use crate::render::group;
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, Rule, rank};
use crate::render::who::who;
use crate::render::{humane, sampled};

/// All rules about samples.
pub const RULES: &[Rule] = &[busiest];

/// Fewer samples say nothing of who burns CPU.
const LEAST: u64 = 10;
/// From this part of one CPU for the whole recording on, of 100, the finding is among those that are told.
const BURNS: u128 = 50;

fn busiest(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let processes = cpu_by_process(&ranked.cpu);
    let groups = group::whole(&processes, |(pid, _)| group::key(profile, *pid, ()), |(_, samples)| *samples);
    let worst = groups.first()?;
    let samples = worst.weight();
    if samples < LEAST {
        return None;
    }
    let (function, in_function) = top_function(&ranked.cpu, worst);
    let place = match sampled::carries(in_function, samples) {
        Some(interval) => format!("{} of that in {function}", interval.text()),
        None => "no function is surely more than half of that".to_owned(),
    };
    let all: u64 = ranked.cpu.iter().map(|line| line.samples).fold(0, u64::saturating_add);
    let cost_ns = cpu_ns(profile, samples);
    let sentence = format!(
        "CPU: {} of {} in {}{}: {place}.",
        humane::part(samples, all),
        humane::plural(all, "sample"),
        who(profile, worst, |process| *process),
        cost_ns.map_or_else(String::new, |ns| format!(", {} of CPU time", humane::duration(ns))),
    );
    Some(Finding {
        rule: "cpu",
        rank: rank::CPU,
        sentence,
        confidence: Confidence::High,
        cost_ns,
        threshold: "≥ 10 samples",
        evidence: vec![("samples", samples), ("all_samples", all), ("function_samples", in_function)],
    })
}

/// The CPU time that samples stand for; none if the clock's frequency is unknown.
pub fn cpu_ns(profile: &Profile, samples: u64) -> Option<u64> {
    let hz = profile.header.frequency_hz;
    (hz > 0).then(|| samples.saturating_mul(1_000_000_000) / hz)
}

/// Whether a finding says that a process burns a CPU: such a finding is never left out.
pub fn burns(profile: &Profile, finding: &Finding) -> bool {
    let cost = u128::from(finding.cost_ns.unwrap_or(0));
    finding.rule == "cpu" && cost > 0 && cost * 100 >= u128::from(profile.duration_ns) * BURNS
}
