//! Blocked waits that are not normal.
//!
//! In: ranked waits. Out: findings about stalls outside of calls, and one process that ends most of another's waits.
//! Shares are of the recorded time; a process of many threads may pass 100 %.

use super::lines::Blocked;
use super::outside::Outside;
use crate::probes::blame::findings as blame;
use crate::probes::waits::ender::Ender;
use crate::probes::waits::findings::percent_of_time;
use crate::probes::waits::stacks::SHORT;
use crate::probes::waits::sums::{heaviest, merged};
use crate::profile::{Histogram, Pid, Profile, Wait};
use crate::render::group;
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, Rule, rank};
use crate::render::syscalls::{self, CallClass, NO_CALL};
use crate::render::who::{process, who};
use crate::render::{clean, humane};

/// All rules about blocked waits.
pub const RULES: &[Rule] = &[outside_calls, one_waker, blame::holder, blame::chain];

/// Neighbours and places named at most.
const NAMED: usize = 3;

/// Apply: 5 % of the time blocked outside of calls by one program.
fn outside_calls(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let key = |line: &Outside<'_>| group::key(profile, line.pid, ());
    let groups = group::whole(&ranked.outside, key, Outside::blocked_ns);
    let worst = groups.first()?;
    let blocked = worst.weight();
    if !percent_of_time(profile, blocked, 5) {
        return None;
    }
    let on = heaviest(
        merged(worst.lines().iter().map(|line| &line.on)).into_iter().filter(|(on, _)| *on != SHORT),
        (blocked, NAMED),
        |on| clean::name(on).into_owned(),
    );
    let on = if on.is_empty() { on } else { format!(": {on}") };
    let stopped = worst.lines().iter().map(|line| line.get(Wait::Stopped)).fold(0, u64::saturating_add);
    let mut stalls = Histogram::default();
    worst.lines().iter().for_each(|line| stalls.merge(&line.stalls));
    Some(Finding {
        rule: "outside_calls",
        rank: rank::OUTSIDE,
        sentence: format!(
            "{} was blocked outside of system calls for {} in {}, all threads together{on}.",
            who(profile, worst, |line| (line.pid, line.blocked_ns())),
            humane::duration(blocked),
            humane::duration(profile.duration_ns),
        ),
        confidence: Confidence::High,
        cost_ns: Some(blocked),
        threshold: "≥ 5 % of the time",
        evidence: vec![
            ("blocked_ns", blocked),
            ("stopped_ns", stopped),
            ("stalls", stalls.count()),
            ("max_ns", stalls.max_ns),
        ],
    })
}

/// Apply: one call of one process is blocked for 25 % of the time, and one other process ends half of that, in ten
/// long waits or more: one alone is a coincidence.
fn one_waker(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let work = ranked.blocked.iter().filter(|line| line.class == CallClass::Work);
    let (line, waker, ns) = work
        .filter(|line| percent_of_time(profile, line.total_ns, 25))
        .find_map(|line| other_half(line).map(|(waker, ns)| (line, waker, ns)))
        .filter(|(line, waker, _)| waits_ended(profile, line, *waker) >= 10)?;
    Some(Finding {
        rule: "one_waker",
        rank: rank::WAKER,
        sentence: format!(
            "{} (pid {}) was blocked {} in {}; {} of that ended when {} (pid {}) woke it.",
            process(profile, line.pid),
            profile.processes.pid_text(line.pid),
            humane::least(line.total_ns, line.nr.is_some_and(syscalls::began_before)),
            line.nr.map_or(NO_CALL.into(), syscalls::name),
            humane::part(ns, line.total_ns),
            process(profile, waker),
            waker.0,
        ),
        // Who wakes may itself have waited for another.
        confidence: Confidence::Medium,
        cost_ns: None,
        threshold: "blocked ≥ 25 % of the time, half of it ended by one other process, ≥ 10 waits",
        evidence: vec![("blocked_ns", line.total_ns), ("ended_ns", ns), ("waker_pid", u64::from(waker.0))],
    })
}

/// The other process that ended half of a line's time.
fn other_half(line: &Blocked<'_>) -> Option<(Pid, u64)> {
    line.enders.iter().find_map(|(ender, ns)| match ender {
        Ender::Process(pid) if *pid != line.pid && *ns >= line.total_ns.div_ceil(2) => Some((*pid, *ns)),
        Ender::Process(_) | Ender::Interrupt | Ender::Unseen => None,
    })
}

/// Long waits of a line that one process ended.
fn waits_ended(profile: &Profile, line: &Blocked<'_>, waker: Pid) -> u64 {
    let stacks = profile.waits.stacks.iter();
    let stacks = stacks.filter(|(key, _)| (key.row.pid, key.row.nr) == (line.pid, line.nr));
    let ended = stacks.filter(|(key, _)| Ender::of(profile, key.waker) == Ender::Process(waker));
    ended.map(|(_, row)| row.waits).fold(0, u64::saturating_add)
}
