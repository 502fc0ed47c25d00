//! The sentences in front of the tables: where the time went.
//!
//! In: a profile and its ranked rows. Out: findings, in the order of `rule`. Each comes from a rule in the folder of its
//! probe, or from a rule about counters here. A rule returns a sentence with its numbers, or nothing.

pub mod counters;
mod deaths;
pub mod limits;

use std::collections::BTreeMap;

use super::ranked::Ranked;
use super::rule::{self, Finding, Rule};
use crate::probe::{Probe, each_probe};
use crate::probes::cpu::findings::burns;
use crate::profile::Profile;

macro_rules! rules {
    ($($probe:ident $name:ident [$($picture:tt)*],)*) => {
        /// The rules of all probes.
        const RULES: &[(Probe, &[Rule])] = &[$((Probe::$probe, crate::probes::$name::findings::RULES),)*];
    };
}

each_probe!(rules);

/// Findings that are told at most.
const TOLD: usize = 5;

/// All findings, the most telling first.
pub fn all(profile: &Profile, ranked: &Ranked<'_>) -> Vec<Finding> {
    let rules = RULES.iter().flat_map(|(_, rules)| *rules).chain(counters::RULES).chain(deaths::RULES);
    let mut found: Vec<Finding> = rules.filter_map(|rule| rule(profile, ranked)).collect();
    rule::sort(&mut found, profile.duration_ns);
    // Whoever burns a CPU is told, whatever else there is.
    if let Some(at) = found.iter().position(|finding| burns(profile, finding)).filter(|at| *at >= TOLD) {
        found[TOLD - 1..=at].rotate_right(1);
    }
    found
}

/// The probe whose rows each finding rests on, by the name of its rule; none where it rests on counters.
pub fn probes(profile: &Profile, ranked: &Ranked<'_>) -> BTreeMap<&'static str, Probe> {
    let all = RULES.iter().flat_map(|(probe, rules)| rules.iter().map(move |rule| (*probe, rule)));
    all.filter_map(|(probe, rule)| Some((rule(profile, ranked)?.rule, probe))).collect()
}

/// The sentences that are told.
pub fn sentences(found: &[Finding]) -> Vec<String> {
    found.iter().take(TOLD).map(|finding| finding.sentence.clone()).collect()
}
