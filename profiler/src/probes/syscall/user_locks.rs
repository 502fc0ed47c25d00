//! Waits for other threads of user space.
//!
//! In: ranked waits. Out: one finding about the program that waited most for contended locks; if none is known to be
//! contended, about the program that waited most for other threads. Captures without waits have only slow calls.

use std::collections::BTreeMap;

use super::lines::threshold;
use crate::probes::offcpu::lines::Blocked;
use crate::probes::waits::ender::Ender;
use crate::probes::waits::findings::percent_of_time;
use crate::probes::waits::sums::{add, heaviest, merged};
use crate::probes::waits::user_lock::UserLock;
use crate::profile::slowest::SlowestCall;
use crate::profile::{Pid, Profile};
use crate::render::group::{self, Group};
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, rank};
use crate::render::syscalls::{CallClass, began_before};
use crate::render::who::{process, who};
use crate::render::{clean, humane};

/// Threads that are named.
const THREADS: usize = 3;
/// Functions that are named.
const CALLERS: usize = 3;

fn of(line: &Blocked<'_>, kind: UserLock) -> u64 {
    line.on.get(kind.name()).copied().unwrap_or(0)
}

/// Contended time first, then any.
pub fn waits(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let lines = || ranked.blocked.iter().filter(|line| line.class == CallClass::UserLock);
    let key = |line: &Blocked<'_>| group::key(profile, line.pid, ());
    let contended = group::whole(lines(), key, |line| of(line, UserLock::Contended));
    if let Some(worst) = contended.first().filter(|worst| worst.weight() > 0) {
        return Some(finding(profile, worst, |line| of(line, UserLock::Contended)));
    }
    // Who waits all the time may be a pool without work, or hang: that is told last.
    let ended = |line: &Blocked<'_>| line.total_ns.saturating_sub(of(line, UserLock::Endless));
    let groups = group::whole(lines(), key, ended);
    let Some(worst) = groups.first() else { return slow_ones(profile, ranked) };
    let found = finding(profile, worst, ended);
    let little = !percent_of_time(profile, worst.weight(), 1);
    Some(if little { Finding { rank: rank::LEAST, ..found } } else { found })
}

fn finding(
    profile: &Profile,
    worst: &Group<'_, Blocked<'_>>,
    weight: impl Fn(&Blocked<'_>) -> u64,
) -> Finding {
    let sum = |of: &dyn Fn(&Blocked<'_>) -> u64| {
        worst.lines().iter().map(|line| of(line)).fold(0, u64::saturating_add)
    };
    let total = sum(&|line| line.total_ns);
    let older = worst.lines().iter().any(|line| line.nr.is_some_and(began_before));
    let kinds = [UserLock::Contended, UserLock::Parked, UserLock::Untold, UserLock::Endless]
        .map(|kind| (kind, sum(&|line| of(line, kind))));
    let mut enders = BTreeMap::new();
    worst.lines().iter().flat_map(|line| &line.enders).for_each(|(ender, ns)| add(&mut enders, *ender, *ns));
    // Nobody ended those that are not over.
    if enders.keys().all(|ender| *ender == Ender::Unseen) {
        enders.clear();
    }
    let pid = worst.first().pid;
    let contended = kinds[0].1;
    let kinds = heaviest(kinds, (total, 4), |kind: UserLock| kind.name().to_owned());
    let by = heaviest(enders, (total, 1), |ender: Ender| ender.name(profile, pid));
    let callers = merged(worst.lines().iter().map(|line| &line.callers));
    let callers = heaviest(callers, (total, CALLERS), |caller| format!("in {}", clean::name(caller)));
    // Short waits have none of these.
    let callers = if callers.is_empty() { callers } else { format!("; {callers}") };
    let kinds = if kinds.is_empty() { kinds } else { format!(": {kinds}") };
    let by = if by.is_empty() { by } else { format!("; ended by {by}") };
    let sentence = format!(
        "User locks (futex): {} waited {} for other threads, {}, longest {}{}{kinds}{callers}{by}.",
        who(profile, worst, |line| (line.pid, weight(line))),
        humane::least(total, older),
        humane::plural(sum(&|line| line.count), "wait"),
        humane::least(worst.lines().iter().map(|line| line.max_ns).max().unwrap_or(0), older),
        threads(profile, |pid| worst.lines().iter().any(|line| line.pid == pid)),
    );
    Finding {
        rule: "user_locks",
        rank: rank::USER_LOCKS,
        sentence,
        confidence: if contended > 0 { Confidence::High } else { Confidence::Low },
        cost_ns: (contended > 0).then_some(contended),
        threshold: "",
        evidence: vec![("total_ns", total), ("contended_ns", contended), ("waits", sum(&|line| line.count))],
    }
}

/// `, the longest that were woken in threads till-3, till-1`: who waited longest for another thread, by the names of their
/// own that threads have. Who waits for a time, or since before the recording, may have nothing to do: such are told
/// when nobody else is known.
fn threads(profile: &Profile, of: impl Fn(Pid) -> bool) -> String {
    let longest = || profile.slowest.iter().filter(|call| call.is_user_lock() && of(call.pid));
    let woken = longest().filter(|call| call.start_ns > 0 && call.ret != -i64::from(libc::ETIMEDOUT));
    match listed(&names(profile, woken)) {
        told if !told.is_empty() => format!(", the longest that were woken in {told}"),
        _ => match listed(&names(profile, longest())) {
            told if !told.is_empty() => format!(", the longest in {told}"),
            _ => String::new(),
        },
    }
}

/// Names of threads that are not their process's, each once.
fn names<'a>(profile: &Profile, calls: impl Iterator<Item = &'a SlowestCall>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for call in calls.filter(|call| !call.thread.is_empty()) {
        if call.thread != profile.processes.comm(call.pid) && !names.contains(&&*call.thread) {
            names.push(&call.thread);
        }
    }
    names
}

/// `threads till-3, till-1`: the first few.
fn listed(names: &[&str]) -> String {
    let told: Vec<_> = names.iter().take(THREADS).map(|name| clean::name(name)).collect();
    match told.len() {
        0 => String::new(),
        1 => format!("thread {}", told.join("")),
        _ => format!("threads {}", told.join(", ")),
    }
}

/// What slow calls alone tell.
fn slow_ones(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let lines =
        || ranked.syscalls.iter().filter(|line| line.class == CallClass::UserLock && line.slow.count > 0);
    let worst = lines().max_by_key(|line| line.slow.total_ns)?;
    let calls = lines().map(|line| line.slow.count).fold(0, u64::saturating_add);
    let total = lines().map(|line| line.slow.total_ns).fold(0, u64::saturating_add);
    let Pid(pid) = worst.pid;
    let sentence = format!(
        "User locks (futex): {}{}, {} in all (parked threads included), {} of it in {} (pid {pid}).",
        humane::plural(calls, "wait"),
        threshold(profile),
        humane::duration(total),
        humane::part(worst.slow.total_ns, total),
        process(profile, worst.pid),
    );
    Some(Finding {
        rule: "user_locks",
        rank: rank::USER_LOCKS,
        sentence,
        confidence: Confidence::Low,
        cost_ns: None,
        threshold: "waits ≥ slow_ns",
        evidence: vec![("waits", calls), ("total_ns", total), ("worst_total_ns", worst.slow.total_ns)],
    })
}
