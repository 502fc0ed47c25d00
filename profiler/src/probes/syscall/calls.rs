//! Calls at work that the target lost most time in.
//!
//! In: ranked calls. Out: findings about the two that cost most, over all lengths and all processes of one name.
//! Waits for a CPU and waits for new work in them are left out: other rules report these.

use std::collections::BTreeMap;

use super::callers::{Calls, callers, slow_sum};
use super::lines::threshold;
use super::{largest_part, slow};
use crate::probes::offcpu::lines::Blocked;
use crate::probes::waits::class::Classes;
use crate::probes::waits::ender::Ender;
use crate::probes::waits::sums::{add, heaviest};
use crate::profile::waits::WaitStackKey;
use crate::profile::{Histogram, Pid, Profile, StackId};
use crate::render::group::{self, Group};
use crate::render::name::user_functions;
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, rank};
use crate::render::syscalls::{self, CallClass};
use crate::render::{clean, humane};

/// Functions that are named of who made waits.
const FUNCTIONS: usize = 3;

/// All of them that cost the target time, the dearest first.
fn dearest<'r, 'p>(profile: &'p Profile, ranked: &'r Ranked<'p>) -> Vec<Calls<'r, 'p>> {
    let mut groups = group::whole(
        ranked.syscalls.iter().filter(|line| line.lost_ns > 0),
        |line| group::key(profile, line.pid, line.nr),
        |line| line.lost_ns,
    );
    // Short calls that took less than a thousandth of the time are next to nothing.
    let least = (profile.duration_ns / 1000).max(1);
    groups.retain(|group| group.weight() >= least || group.lines().iter().any(|line| line.slow.count > 0));
    groups
}

/// The dearest.
pub fn dearest_call(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    dearest(profile, ranked).first().map(|group| finding(profile, ranked, group, ("slow_call", rank::SLOW)))
}

/// The second is worth a sentence only beside the first: a tenth of all.
pub fn second_dearest(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let groups = dearest(profile, ranked);
    let all = groups.iter().map(Group::weight).fold(0, u64::saturating_add);
    let second = groups.get(1).filter(|group| group.weight().saturating_mul(10) >= all)?;
    Some(finding(profile, ranked, second, ("slow_call_too", rank::SLOW_TOO)))
}

fn finding(
    profile: &Profile,
    ranked: &Ranked<'_>,
    group: &Calls<'_, '_>,
    (rule, rank): (&'static str, u8),
) -> Finding {
    let slow = slow_sum(group);
    let mut latency = Histogram::default();
    group.lines().iter().for_each(|line| latency.merge(&line.row.latency));
    let mostly_slow = slow.total_ns >= latency.total_ns.saturating_sub(slow.total_ns);
    let waits_by_purpose = group.first().named != CallClass::Work;
    let mut found = match (waits_by_purpose, mostly_slow) {
        (true, _) => ended_inside(profile, ranked, group),
        (false, true) => {
            largest_part::finding(profile, ranked, group).unwrap_or_else(|| slow::finding(profile, group))
        }
        (false, false) => all_lengths(profile, ranked, group, &latency),
    };
    if mostly_slow || waits_by_purpose {
        found.rule = rule;
    }
    found.evidence.push(("lost_ns", group.weight()));
    Finding { rank, cost_ns: Some(group.weight()), ..found }
}

/// Most of the time is in calls below the threshold, so the sentence is about calls of all lengths.
fn all_lengths(
    profile: &Profile,
    ranked: &Ranked<'_>,
    group: &Calls<'_, '_>,
    latency: &Histogram,
) -> Finding {
    let (slow, time) = (slow_sum(group), |ns| syscalls::time(group.first().nr, ns));
    let in_slow = match threshold(profile) {
        least if least.is_empty() => String::new(),
        least => format!("; {} of it in calls{least}", humane::part(slow.total_ns, latency.total_ns)),
    };
    let sentence = format!(
        "{} in {}: {} in all while {} were recorded, {} calls{}; p50 {}, p99 {}, longest {}{in_slow}.",
        group.first().name,
        callers(profile, group),
        time(latency.total_ns),
        humane::duration(profile.duration_ns),
        humane::count(latency.count()),
        off_cpu(ranked, group, latency.total_ns),
        time(latency.percentile_ns(500)),
        time(latency.percentile_ns(990)),
        time(latency.max_ns),
    );
    Finding {
        rule: "much_in_one_call",
        rank: rank::SLOW,
        sentence,
        confidence: Confidence::High,
        cost_ns: None,
        threshold: "most of the time in calls < slow_ns",
        evidence: vec![
            ("total_ns", latency.total_ns),
            ("duration_ns", profile.duration_ns),
            ("calls", latency.count()),
            ("p50_ns", latency.percentile_ns(500)),
            ("p99_ns", latency.percentile_ns(990)),
            ("slow_total_ns", slow.total_ns),
        ],
    }
}

/// `, 92 % of it blocked, 80 % on disk`: what the waits in these calls tell, if they were measured.
fn off_cpu(ranked: &Ranked<'_>, group: &Calls<'_, '_>, total_ns: u64) -> String {
    let (mut blocked, mut on) = (0u64, BTreeMap::new());
    for line in blocked_in(ranked, group) {
        blocked = blocked.saturating_add(line.total_ns);
        line.on.iter().for_each(|(what, ns)| add(&mut on, *what, *ns));
    }
    if blocked == 0 {
        return String::new();
    }
    let place = heaviest(on, (total_ns, 1), |on| clean::name(on).into_owned());
    format!(", {} of it blocked (most: {place})", humane::part(blocked, total_ns))
}

/// The waits at work in these calls.
fn blocked_in<'r, 'p>(
    ranked: &'r Ranked<'p>,
    group: &'r Calls<'_, '_>,
) -> impl Iterator<Item = &'r Blocked<'p>> {
    let of = |pid: Pid, nr| group.lines().iter().any(|line| (line.pid, Some(line.nr)) == (pid, nr));
    let work = ranked.blocked.iter().filter(|line| line.class == CallClass::Work);
    work.filter(move |line| of(line.pid, line.nr))
}

/// A call that waits by purpose, but whose waits were ended by another process of the target, a disk or a
/// lock.
fn ended_inside(profile: &Profile, ranked: &Ranked<'_>, group: &Calls<'_, '_>) -> Finding {
    let (mut waits, mut max_ns) = (0u64, 0u64);
    let mut enders = BTreeMap::new();
    for line in blocked_in(ranked, group) {
        waits = waits.saturating_add(line.count);
        max_ns = max_ns.max(line.max_ns);
        line.enders.iter().for_each(|(ender, ns)| add(&mut enders, *ender, *ns));
    }
    let pid = group.first().pid;
    let by = heaviest(enders, (group.weight(), 2), |ender: Ender| ender.name(profile, pid));
    let sentence = format!(
        "{} in {} waited {} for something other than new work: {}, longest {}{}; ended by {by}.",
        group.first().name,
        callers(profile, group),
        syscalls::time(group.first().nr, group.weight()),
        humane::plural(waits, "wait"),
        syscalls::time(group.first().nr, max_ns),
        made_by(profile, group),
    );
    Finding {
        rule: "slow_call",
        rank: rank::SLOW,
        sentence,
        confidence: Confidence::High,
        cost_ns: None,
        threshold: "waits that a process of the target, a disk or a lock ended",
        evidence: vec![("waits", waits), ("max_ns", max_ns)],
    }
}

/// `ProcSleep < LockAcquire < heap_update`: the functions that made a call, the innermost first; empty without names.
pub fn below(profile: &Profile, user: StackId) -> String {
    let all: Vec<&str> = user_functions(&profile.stacks, user).collect();
    telling(&all).into_iter().take(FUNCTIONS).map(clean::name).collect::<Vec<_>>().join(" < ")
}

/// Those that made the call, of the functions of a stack, leaf first.
fn telling<'n>(functions: &[&'n str]) -> Vec<&'n str> {
    // The leaf is the C library's wrapper of the call, unless the compiler put that into a function of the program.
    let made = match functions.split_first() {
        Some((leaf, callers)) if !leaf.contains("::") => callers,
        _ => functions,
    };
    let told: Vec<&str> = made.iter().copied().filter(|name| !is_plumbing(name)).collect();
    if told.is_empty() { made.to_vec() } else { told }
}

/// Whether a function is of Rust's own library: iterators and closures say nothing of who called.
fn is_plumbing(name: &str) -> bool {
    let name = name.strip_prefix('<').unwrap_or(name);
    ["core::", "alloc::", "std::"].iter().any(|library| name.starts_with(library))
}

/// `, 98 % of that below ProcSleep < LockAcquire`: the functions that made most of these waits, if one stack has most.
fn made_by(profile: &Profile, group: &Calls<'_, '_>) -> String {
    let mut classes = Classes::new(profile);
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let of = |key: &WaitStackKey| {
        group.lines().iter().any(|line| (line.pid, Some(line.nr)) == (key.row.pid, key.row.nr))
    };
    for (key, row) in profile.waits.stacks.iter().filter(|(key, _)| of(key)) {
        if classes.of_stack(key) == CallClass::Work {
            add(&mut sums, below(profile, key.user), row.total_ns);
        }
    }
    let all = sums.values().copied().fold(0, u64::saturating_add);
    match sums.into_iter().max_by_key(|(_, ns)| *ns) {
        Some((functions, ns)) if ns > all / 2 && !functions.is_empty() => {
            format!(", {} of that below {functions}", humane::part(ns, all))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rusts_own_library_and_the_wrapper_of_the_call_tell_nothing() {
        assert_eq!(telling(&["__read", "ProcSleep", "LockAcquire"]), ["ProcSleep", "LockAcquire"]);
        let inlined = ["web::answer", "<core::iter::Map<I,F> as core::iter::Iterator>::fold", "web::main"];
        assert_eq!(telling(&inlined), ["web::answer", "web::main"]);
        assert_eq!(
            telling(&["read", "std::io::Read::read"]),
            ["std::io::Read::read"],
            "nothing else is known"
        );
        assert_eq!(telling(&["read"]), [""; 0]);
    }
}
