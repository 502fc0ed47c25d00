//! Waits for other threads of user space.
//!
//! In: ranked waits. Out: one finding about the program that waited most for contended locks; if none is known to be
//! contended, about the program that waited most for other threads. Captures without waits have only slow calls.

use std::cmp::Reverse;

use super::lines::threshold;
use crate::probes::offcpu::lines::Blocked;
use crate::probes::waits::ender::Ender;
use crate::probes::waits::findings::percent_of_time;
use crate::probes::waits::sums::{heaviest, merged};
use crate::probes::waits::user_lock::{UserLock, waits_for_lock};
use crate::profile::slowest::SlowestCall;
use crate::profile::{Pid, Profile};
use crate::render::group::{self, Group};
use crate::render::name::user_functions;
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
    let (total, waits) = (sum(&|line| line.total_ns), sum(&|line| line.count));
    let contended = sum(&|line| of(line, UserLock::Contended));
    let older = worst.lines().iter().any(|line| line.nr.is_some_and(began_before));
    let longest = worst.lines().iter().map(|line| line.max_ns).max().unwrap_or(0);
    let all = format!(
        "{} for other threads{}, {}, longest {}",
        humane::least(total, older),
        if contended > 0 { " in all" } else { "" },
        humane::plural(waits, "wait"),
        humane::least(longest, older),
    );
    let threads = threads(profile, contended > 0, |pid| worst.lines().iter().any(|line| line.pid == pid));
    let (kinds, callers, by) =
        (kinds(worst, total), callers(worst, (contended, total)), ended_by(profile, worst, total));
    let what = if contended > 0 {
        let contended = humane::least(contended, older);
        format!("{contended} for contended locks{threads}{callers}; {all}{kinds}")
    } else {
        format!("{all}{threads}{kinds}{callers}")
    };
    let who = who(profile, worst, |line| (line.pid, weight(line)));
    Finding {
        rule: "user_locks",
        rank: rank::USER_LOCKS,
        sentence: format!("User locks (futex): {who} waited {what}{by}."),
        confidence: if contended > 0 { Confidence::High } else { Confidence::Low },
        cost_ns: (contended > 0).then_some(contended),
        threshold: "",
        evidence: vec![("total_ns", total), ("contended_ns", contended), ("waits", waits)],
    }
}

/// `: 54 % not ended meanwhile, 27 % parked`; nothing of short waits.
fn kinds(worst: &Group<'_, Blocked<'_>>, total: u64) -> String {
    let sum = |kind| worst.lines().iter().map(|line| of(line, kind)).fold(0, u64::saturating_add);
    let kinds = [UserLock::Contended, UserLock::Parked, UserLock::Untold, UserLock::Endless];
    let told = heaviest(kinds.map(|kind| (kind, sum(kind))), (total, 4), |kind| kind.name().to_owned());
    behind(": ", &told)
}

/// `, 60 % in Pool::take`: the functions that waited. Of contended locks theirs alone: a pool beside them waits longer.
fn callers(worst: &Group<'_, Blocked<'_>>, (contended, total): (u64, u64)) -> String {
    let whole = if contended > 0 { contended } else { total };
    let all = merged(worst.lines().iter().map(|line| &line.callers)).into_iter();
    let own = all.filter(|((kind, _), _)| contended == 0 || *kind == UserLock::Contended);
    behind(", ", &heaviest(own, (whole, CALLERS), |(_, caller)| format!("in {}", clean::name(caller))))
}

/// `; ended by 82 % itself`.
fn ended_by(profile: &Profile, worst: &Group<'_, Blocked<'_>>, total: u64) -> String {
    let mut enders = merged(worst.lines().iter().map(|line| &line.enders));
    // Nobody ended those that are not over.
    if enders.keys().all(|ender| *ender == Ender::Unseen) {
        enders.clear();
    }
    let pid = worst.first().pid;
    behind("; ended by ", &heaviest(enders, (total, 1), |ender: Ender| ender.name(profile, pid)))
}

/// The text behind what leads to it; nothing if there is none.
fn behind(lead: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{lead}{text}") }
}

/// `, the longest that were woken in threads till-3, till-1`: who waited longest for another thread, by the names of their
/// own that threads have. Where some wait for contended locks, these count alone. Who waits for a time, or since before the
/// recording, may have nothing to do: such are told when nobody else is known.
fn threads(profile: &Profile, contended: bool, of: impl Fn(Pid) -> bool) -> String {
    let longest = || profile.slowest.iter().filter(|call| call.is_user_lock() && of(call.pid));
    let woken = longest().filter(|call| call.start_ns > 0 && call.ret != -i64::from(libc::ETIMEDOUT));
    let told =
        |what: &str, names: &[&str]| (!names.is_empty()).then(|| format!(", {what} in {}", listed(names)));
    let at_locks =
        || contended.then(|| behind_locks(profile, &of)).and_then(|names| told("the longest", &names));
    at_locks()
        .or_else(|| told("the longest that were woken", &names(profile, woken)))
        .or_else(|| told("the longest", &names(profile, longest())))
        .unwrap_or_default()
}

/// Names of threads that waited for locks, longest first; of those that still do, too.
fn behind_locks(profile: &Profile, of: impl Fn(Pid) -> bool) -> Vec<&str> {
    let open = profile.in_flight.iter().map(|call| (call.age_ns, call.pid, &*call.comm, call.user));
    let ended = profile.slowest.iter().filter(|call| call.is_user_lock());
    let ended = ended.map(|call| (call.wall_ns, call.pid, &*call.thread, call.user));
    let is_for_lock = |user| waits_for_lock(user_functions(&profile.stacks, user));
    let mut waits: Vec<_> =
        open.chain(ended).filter(|(_, pid, _, user)| of(*pid) && is_for_lock(*user)).collect();
    waits.sort_by_key(|(ns, ..)| Reverse(*ns));
    own_names(profile, waits.into_iter().map(|(_, pid, name, _)| (pid, name)))
}

/// Names of the threads of calls.
fn names<'p>(profile: &'p Profile, calls: impl Iterator<Item = &'p SlowestCall>) -> Vec<&'p str> {
    own_names(profile, calls.map(|call| (call.pid, &*call.thread)))
}

/// Names of threads that are not their process's, each once.
fn own_names<'p>(profile: &Profile, threads: impl Iterator<Item = (Pid, &'p str)>) -> Vec<&'p str> {
    let mut names: Vec<&str> = Vec::new();
    for (pid, name) in threads {
        if !name.is_empty() && name != profile.processes.comm(pid) && !names.contains(&name) {
            names.push(name);
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
