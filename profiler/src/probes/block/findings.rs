//! Which call waits for which disk, and who kept that disk busy.
//!
//! In: ranked waits, rows of requests. Out: one finding. A disk is named only if the process has requests on
//! it, and if these requests, together with those that the kernel's threads make for the process, take at
//! least half of the wait's time. A neighbour is named only if it moved most bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::filled::Filled;
use super::names;
use super::rows::{BlockRow, Disk};
use crate::probes::offcpu::lines::Blocked;
use crate::probes::waits::findings::{percent_of_time, time_in};
use crate::profile::{Pid, Profile};
use crate::render::group::{self, Group};
use crate::render::humane;
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, Rule, rank};
use crate::render::syscalls::{self, CallClass};
use crate::render::who::who;

/// All rules about disks.
pub const RULES: &[Rule] = &[disk_wait];

/// What waits for a disk are on, as `render::cause` calls it.
const ON: [&str; 4] = ["disk", "disk limit", "page fault: disk", "page fault: disk limit"];
/// Of the time, of 100.
const LEAST_PERCENT: u64 = 5;
/// Requests that a sentence rests on, at least: of the process that waits, and of the process that is named
/// for it.
const LEAST_REQUESTS: u64 = 10;

/// Time that a line waited for disks.
fn on_disk(line: &Blocked<'_>) -> u64 {
    ON.iter().filter_map(|on| line.on.get(on)).fold(0, |sum, ns| sum.saturating_add(*ns))
}

/// Apply: 5 % of the time blocked on disk in one call of one program, on a disk that is known.
fn disk_wait(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let work = ranked.blocked.iter().filter(|line| line.class == CallClass::Work && on_disk(line) > 0);
    let key = |line: &Blocked<'_>| group::key(profile, line.pid, line.nr);
    let mut groups = group::whole(work, key, on_disk);
    groups.retain(|group| percent_of_time(profile, group.weight(), LEAST_PERCENT));
    groups.iter().find_map(|group| told(profile, group))
}

fn told(profile: &Profile, group: &Group<'_, Blocked<'_>>) -> Option<Finding> {
    let (nr, waited) = (group.first().nr?, group.weight());
    let pids: BTreeSet<Pid> = group.lines().iter().map(|line| line.pid).collect();
    let (disk, own) = place(profile, &pids, waited)?;
    // Without rows of calls, a part of the time that it was blocked.
    let blocked = group.lines().iter().map(|line| line.total_ns).fold(0, u64::saturating_add);
    let whole = time_in(profile, &pids, nr).max(blocked);
    let filler = filler(profile, &pids, disk);
    let by =
        filler.as_ref().map_or_else(String::new, |(text, _)| format!("; its queue was filled by {text}"));
    Some(Finding {
        rule: "disk_wait",
        rank: rank::DISK,
        sentence: format!(
            "{} of {} in {} is waiting for {}{}{by}.",
            humane::part(waited, whole),
            syscalls::name(nr),
            who(profile, group, |line| (line.pid, on_disk(line))),
            names::disk(profile, disk),
            split(&own),
        ),
        // The wait and the requests are measured; that one is for the other is told by process, disk and time.
        confidence: Confidence::Medium,
        cost_ns: Some(waited),
        threshold: "≥ 5 % of the time; own requests ≥ 10; requests ≥ half of the wait; a filler has ≥ half of the bytes",
        evidence: vec![
            ("waited_ns", waited),
            ("of_ns", whole),
            ("requests", own.requests),
            ("queue_ns", own.queue.total_ns),
            ("device_ns", own.device.total_ns),
            ("filler_ns", filler.map_or(0, |(_, ns)| ns)),
        ],
    })
}

/// The disk that most of their requests went to, if its requests explain the wait; with their own requests there.
fn place(profile: &Profile, pids: &BTreeSet<Pid>, waited: u64) -> Option<(Disk, BlockRow)> {
    let mut own: BTreeMap<Disk, BlockRow> = BTreeMap::new();
    for (key, row) in profile.block.rows.iter().filter(|(key, _)| pids.contains(&key.pid)) {
        own.entry(key.disk).or_default().merge(row);
    }
    let all = own.values().map(BlockRow::total_ns).fold(0, u64::saturating_add);
    let (disk, row) = own.into_iter().max_by_key(|(_, row)| row.total_ns())?;
    // With several disks nobody knows which one a wait was for, unless nearly all was on one.
    let is_one = u128::from(row.total_ns()) * 10 >= u128::from(all) * 9;
    let for_it = for_others(profile, disk);
    let explained = row.total_ns().saturating_add(for_it) >= waited.div_ceil(2);
    (is_one && explained && row.requests >= LEAST_REQUESTS).then_some((disk, row))
}

/// Time of requests that threads of the kernel make on a disk: a journal's, writeback's.
fn for_others(profile: &Profile, disk: Disk) -> u64 {
    let rows = profile.block.rows.iter().filter(|(key, _)| key.disk == disk && is_kernel(profile, key.pid));
    rows.map(|(_, row)| row.total_ns()).fold(0, u64::saturating_add)
}

/// `, 2.1 ms in its queue and 8.0 ms in the device on average`.
fn split(own: &BlockRow) -> String {
    match (own.queue.count(), own.device.count()) {
        (_, 0) => String::new(),
        (0, count) => format!(", {} a request", humane::duration(own.device.total_ns / count)),
        (queued, count) => format!(
            ", {} a request in its queue and {} in the device",
            humane::duration(own.queue.total_ns / queued),
            humane::duration(own.device.total_ns / count)
        ),
    }
}

/// Another process that moved most of the bytes meanwhile, and its part of the time.
fn filler(profile: &Profile, pids: &BTreeSet<Pid>, disk: Disk) -> Option<(String, u64)> {
    let filled = Filled::of(profile, pids, disk);
    let (by, ns) = *filled.by.first()?;
    let rows = || profile.block.rows.iter().filter(|(key, _)| key.disk == disk);
    let requests = rows().filter(|(key, _)| key.pid == by).map(|(_, row)| row.requests);
    let carries =
        ns >= filled.total_ns.div_ceil(2) && requests.fold(0, u64::saturating_add) >= LEAST_REQUESTS;
    if by == Pid(0) || pids.contains(&by) || !carries {
        return None;
    }
    let (key, _) = rows().filter(|(key, _)| key.pid == by).max_by_key(|(_, row)| row.bytes)?;
    // A thread of the kernel writes for others: for whom, only a cgroup tells, and it may be for those that wait.
    let own = rows().any(|(own, _)| pids.contains(&own.pid) && own.cgroup == key.cgroup);
    if is_kernel(profile, by) && (own || !profile.block.cgroups.contains_key(&key.cgroup)) {
        return None;
    }
    let who = format!("{}[{}]", names::process(profile, key), profile.processes.pid_text(by));
    Some((format!("{who} ({} of the bytes)", humane::part(ns, filled.total_ns)), ns))
}

/// Whether it is a thread of the kernel: a child of its thread 2, which no process of user space can make itself.
fn is_kernel(profile: &Profile, pid: Pid) -> bool {
    const KTHREADD: Pid = Pid(2);
    profile.processes.get(pid).is_some_and(|process| process.parent == KTHREADD)
}
