//! Who is to blame, in a sentence.
//!
//! In: lines by process and holder; chains. Out: a finding about the thread that held the locks that were waited for most, and one
//! about the chain that explains most.

use super::chains::{Chains, Part, Place, Waits};
use super::held;
use crate::probes::waits::class::Classes;
use crate::probes::waits::findings::percent_of_time;
use crate::profile::Profile;
use crate::profile::waits::WaitKey;
use crate::render::humane;
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, rank};
use crate::render::syscalls::CallClass;
use crate::render::who::with_pid;

/// Waits that are enough to speak of: a few are a coincidence.
const WAITS: u64 = 5;

/// Apply: one process waited for 5 % of the time, in five long waits or more, for locks that one thread held.
pub fn holder(profile: &Profile, _: &Ranked<'_>) -> Option<Finding> {
    let enough =
        |line: &held::Line| line.row.waits >= WAITS && percent_of_time(profile, line.row.total_ns, 5);
    let lines = held::lines(profile);
    let line = lines.iter().find(|line| line.holder.process().is_some() && enough(line))?;
    let futex_ns = held::futex_ns(profile, line.pid).max(line.row.total_ns);
    let sentence = format!(
        "{} of futex in {} is waiting for {} that thread {} holds: {}, {}, longest {}.",
        humane::part(line.row.total_ns, futex_ns),
        with_pid(profile, line.pid),
        if line.locks == 1 { "a lock" } else { "locks" },
        held::words(profile, line.pid, &line.holder),
        humane::plural(line.row.waits, "wait"),
        humane::duration(line.row.total_ns),
        humane::duration(line.row.max_ns),
    );
    Some(Finding {
        rule: "user_lock_holder",
        rank: rank::USER_LOCKS,
        sentence,
        confidence: Confidence::High,
        cost_ns: Some(line.row.total_ns),
        threshold: "≥ 5 % of the time, ≥ 5 long waits for what one thread held",
        evidence: vec![
            ("held_ns", line.row.total_ns),
            ("futex_ns", futex_ns),
            ("waits", line.row.waits),
            ("ended_by_holder", line.row.ended_by_holder),
            ("holder_tid", u64::from(line.holder.tid.0)),
        ],
    })
}

/// Whether a chain leads elsewhere: that threads of one process wait for each other in one call says nothing.
fn leads_on(place: &Place, part: &Part) -> bool {
    let of = |place: &Place| (place.pid, place.nr);
    part.chain.iter().any(|link| of(link) != of(place))
}

/// Apply: 5 % of the time in five long waits or more of one place at work is explained by one chain, which leads elsewhere.
pub fn chain(profile: &Profile, _: &Ranked<'_>) -> Option<Finding> {
    let (chains, mut classes) = (Chains::new(profile), Classes::new(profile));
    let waits = chains.waits();
    let mut works = |place: &Place| {
        let key = WaitKey { pid: place.pid, nr: place.nr, wait: place.wait };
        classes.of_row(&key).0 != CallClass::Idle
    };
    let enough = |waits: &Waits, ns: u64| waits.waits >= WAITS && percent_of_time(profile, ns, 5);
    let mut told: Vec<(&Place, &Waits, &Part, u64)> = Vec::new();
    for (place, waits) in waits.iter().filter(|(place, _)| works(place)) {
        let explained = waits.explained().into_iter().find(|(part, _)| leads_on(place, part));
        let enough = explained.filter(|(_, ns)| enough(waits, *ns));
        told.extend(enough.map(|(part, ns)| (place, waits, part, ns)));
    }
    // Links in its middle are waits, too, and explain a little more: who waits for all of them is told.
    let most = told.iter().map(|(.., ns)| *ns).max()?;
    let near = told.into_iter().filter(|(.., ns)| *ns >= most / 2);
    let (place, waits, part, ns) = near.max_by_key(|(_, _, part, ns)| (part.chain.len(), *ns))?;
    Some(Finding {
        rule: "wait_chain",
        rank: rank::USER_LOCKS,
        sentence: format!(
            "{} waited {}: {} of that for {}.",
            chains.words(place),
            humane::duration(waits.total_ns),
            humane::part(ns, waits.total_ns),
            chains.chain(part),
        ),
        confidence: Confidence::High,
        cost_ns: Some(ns),
        threshold: "≥ 5 % of the time, ≥ 5 long waits in one place",
        evidence: vec![
            ("explained_ns", ns),
            ("total_ns", waits.total_ns),
            ("waits", waits.waits),
            ("links", part.chain.len() as u64),
            ("root_pid", part.chain.last().map_or(0, |root| u64::from(root.pid.0))),
        ],
    })
}
