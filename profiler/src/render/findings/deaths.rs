//! Processes that died.
//!
//! In: groups of equal deaths, absences. Out: a finding about the worst group, and one about the next if it is as bad: killed by a
//! fault or for want of memory, or taking its container down with it.

use crate::probes::crash::findings::phrase;
use crate::profile::Profile;
use crate::render::deaths::{self, Group, NOT_SEEN};
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, Rule, rank};
use crate::render::{humane, presence};

/// A container that goes within this time after a death went because of it.
const TAKEN_DOWN_NS: u64 = 1_000_000_000;

/// All rules about deaths.
pub const RULES: &[Rule] = &[worst, next];

/// The worst group of deaths; exits with an error code in peace are many shells' way to say no.
fn worst(profile: &Profile, _: &Ranked<'_>) -> Option<Finding> {
    let groups = deaths::groups(profile);
    let regular = || groups.iter().find(|group| group.period_ns().is_some());
    match fatal(profile, &groups).next() {
        Some(group) => Some(finding(profile, group, rank::DEATHS)),
        None => Some(finding(profile, regular()?, rank::EXITS)),
    }
}

/// The next one: what kills one server of many kills the others, too.
fn next(profile: &Profile, _: &Ranked<'_>) -> Option<Finding> {
    let groups = deaths::groups(profile);
    let group = fatal(profile, &groups).nth(1)?;
    Some(finding(profile, group, rank::DEATHS))
}

fn fatal<'g, 'p>(profile: &'p Profile, groups: &'g [Group<'p>]) -> impl Iterator<Item = &'g Group<'p>> {
    groups.iter().filter(move |group| group.is_violent() || takes_down(profile, group))
}

fn finding(profile: &Profile, group: &Group<'_>, rank: u8) -> Finding {
    let count = group.deaths.len() as u64;
    let first = group.first();
    let what = if first.signal == 0 {
        format!("{} with {}", humane::plural(count, "exit"), group.how())
    } else {
        format!("{} by {}", humane::plural(count, "death"), group.how())
    };
    let last = group.deaths.last().map_or(first.at_ns, |death| death.at_ns);
    let when = match (group.period_ns(), count) {
        (Some(period), _) => format!("every {}", humane::duration(period)),
        (None, 1) => format!("at {}", humane::duration(first.at_ns)),
        (None, _) => {
            format!("between {} and {}", humane::duration(first.at_ns), humane::duration(last))
        }
    };
    let sender = match group.sender().as_str() {
        "" | NOT_SEEN | "its own fault" => String::new(),
        sender => format!(", sent by {sender}"),
    };
    Finding {
        rule: "deaths",
        rank,
        sentence: format!(
            "{}: {what}, {when}{sender}{}; {} old.",
            group.who(),
            phrase(profile, &group.deaths),
            humane::duration(group.age_ns())
        ),
        confidence: Confidence::High,
        cost_ns: None,
        threshold: "a signal that nobody sends in peace, or the target's end within 1 s; else a period",
        evidence: vec![
            ("deaths", count),
            ("period_ns", group.period_ns().unwrap_or(0)),
            ("first_ns", first.at_ns),
            ("last_ns", last),
            ("age_ns", group.age_ns()),
        ],
    }
}

/// Whether the target went right after one of them.
fn takes_down(profile: &Profile, group: &Group<'_>) -> bool {
    let goes = |at_ns: u64| {
        let mut absences = presence::rows(profile).into_iter();
        absences.any(|absence| (at_ns..=at_ns.saturating_add(TAKEN_DOWN_NS)).contains(&absence.from_ns))
    };
    group.first().signal == 0 && group.deaths.iter().any(|death| goes(death.at_ns))
}
