//! The tables of waits off the CPU.
//!
//! In: ranked lines. Out: who blocked on what and who ended it, work first; who waited for a CPU and behind whom;
//! who stalled outside of calls.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use super::{Blocked, Ender, Queued, Waits, add, heaviest, neighbour};
use crate::profile::{Histogram, Pid, Profile, Wait};
use crate::render::findings::process;
use crate::render::group::{self, Group};
use crate::render::page::{Page, number, text};
use crate::render::syscalls::{self, CallClass};
use crate::render::tables::{FEW_ROWS, ranked_table};
use crate::render::{clean, humane, probe};

/// Rows of a table at most.
const ROWS: usize = 10;

/// Blocked waits: work, then user locks and idle ones apart and shorter.
pub fn blocked<'p>(
    page: &mut Page<'_>,
    profile: &'p Profile,
    waits: &'p Waits<'p>,
    idle: bool,
) -> io::Result<()> {
    for (class, heading, limit) in [
        (CallClass::Work, "OFF THE CPU: waits that block", ROWS),
        (CallClass::UserLock, "OFF THE CPU on user locks: futex waits, parked threads included", FEW_ROWS),
        (CallClass::Idle, "OFF THE CPU idle: waiting for something to do", FEW_ROWS),
    ] {
        if class == CallClass::Idle && !idle {
            continue;
        }
        let lines: Vec<_> = waits.blocked.iter().filter(|line| line.class == class).collect();
        if class == CallClass::Work || !lines.is_empty() {
            page.heading(heading)?;
            blocked_table(page, profile, &lines, limit)?;
        }
    }
    Ok(())
}

fn sum<'h>(histograms: impl Iterator<Item = &'h Histogram>) -> Histogram {
    let mut sum = Histogram::default();
    histograms.for_each(|histogram| sum.merge(histogram));
    sum
}

fn blocked_table<'p>(
    page: &mut Page<'_>,
    profile: &'p Profile,
    lines: &[&'p Blocked<'p>],
    limit: usize,
) -> io::Result<()> {
    let columns = [
        text("process"),
        number("pid"),
        text("call"),
        number("waits"),
        number("total"),
        number("p99"),
        number("max"),
        text("on"),
        text("ended by"),
    ];
    let key = |line: &&Blocked<'p>| group::key(profile, line.pid, line.nr);
    let groups = group::groups(lines, key, |line| line.waits.total_ns);
    let row = |group: &Group<'_, &Blocked<'p>>| {
        let line = group.first();
        let waits = sum(group.lines().iter().map(|line| &line.waits));
        let on = merged(group.lines().iter().map(|line| &line.on));
        let enders = merged(group.lines().iter().map(|line| &line.enders));
        vec![
            process(profile, line.pid),
            group.pid(|line| line.pid),
            line.nr.map_or(Cow::Borrowed(probe::offcpu::NO_CALL), syscalls::name).into_owned(),
            humane::count(waits.count()),
            humane::duration(waits.total_ns),
            humane::duration(waits.percentile_ns(990)),
            humane::duration(waits.max_ns),
            heaviest(on, (waits.total_ns, 1), |on| clean::name(on).into_owned()),
            heaviest(enders, (waits.total_ns, 1), |ender: Ender| ender.name(profile, line.pid)),
        ]
    };
    let weights: Vec<_> = groups.iter().map(Group::weight).collect();
    let rows: Vec<_> = groups.iter().take(limit).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)
}

fn merged<'m, K: Ord + Copy + 'm>(maps: impl Iterator<Item = &'m BTreeMap<K, u64>>) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    maps.flatten().for_each(|(key, ns)| add(&mut sums, *key, *ns));
    sums
}

/// Waits for a CPU, by process.
pub fn queued(page: &mut Page<'_>, profile: &Profile, waits: &Waits<'_>) -> io::Result<()> {
    page.heading("RUN QUEUE: waits for a CPU")?;
    let columns = [
        text("process"),
        number("pid"),
        number("waits"),
        number("woken"),
        number("preempted"),
        number("throttled"),
        number("p99"),
        number("max"),
        text("ran meanwhile"),
    ];
    let key = |line: &Queued| group::key(profile, line.pid, ());
    let groups = group::groups(&waits.queued, key, |line| line.waits.total_ns);
    let row = |group: &Group<'_, Queued>| {
        let all = sum(group.lines().iter().map(|line| &line.waits));
        let total = |ns: fn(&Queued) -> u64| {
            unless_zero(group.lines().iter().map(|line| ns(line)).fold(0, u64::saturating_add))
        };
        vec![
            process(profile, group.first().pid),
            group.pid(|line| line.pid),
            humane::count(all.count()),
            total(|line| line.woken_ns),
            total(|line| line.preempted_ns),
            total(|line| line.throttled.total_ns),
            humane::duration(all.percentile_ns(990)),
            humane::duration(all.max_ns),
            ran_meanwhile(profile, group.lines(), (all.total_ns, 1)),
        ]
    };
    let weights: Vec<_> = groups.iter().map(Group::weight).collect();
    let rows: Vec<_> = groups.iter().take(ROWS).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)?;
    by_length(page, &sum(waits.queued.iter().map(|line| &line.waits)))
}

/// A duration; nothing for none.
fn unless_zero(ns: u64) -> String {
    if ns == 0 { String::new() } else { humane::duration(ns) }
}

/// The heaviest neighbours of some lines, as [`heaviest`] has it.
pub fn ran_meanwhile(profile: &Profile, lines: &[&Queued], whole: (u64, usize)) -> String {
    let mut sums: BTreeMap<Pid, u64> = BTreeMap::new();
    for (pid, row) in lines.iter().flat_map(|line| &line.neighbours) {
        add(&mut sums, *pid, row.ns);
    }
    let waiter = if let [line] = lines { line.pid } else { Pid(u32::MAX) };
    heaviest(sums, whole, |pid| neighbour(profile, pid, waiter))
}

/// Upper ends of the histogram's line, ns.
const ENDS: [(u64, &str); 6] = [
    (10_000, "< 10 µs"),
    (100_000, "< 100 µs"),
    (1_000_000, "< 1 ms"),
    (10_000_000, "< 10 ms"),
    (100_000_000, "< 100 ms"),
    (u64::MAX, "≥ 100 ms"),
];

/// The waits by length, as one line.
fn by_length(page: &mut Page<'_>, waits: &Histogram) -> io::Result<()> {
    let all = waits.count();
    if all == 0 {
        return Ok(());
    }
    let mut counts = [0u64; ENDS.len()];
    for (low, _, events) in waits.buckets() {
        let at = ENDS.iter().position(|(end, _)| low < *end).unwrap_or(ENDS.len() - 1);
        counts[at] = counts[at].saturating_add(events);
    }
    let shown = ENDS.iter().zip(counts).filter(|(_, count)| *count > 0);
    let shown: Vec<_> =
        shown.map(|((_, name), count)| format!("{name} {}", humane::part(count, all))).collect();
    page.paragraph("  by length: ", &shown.join(" · "))
}

/// Stalls outside of calls, by process.
pub fn outside(page: &mut Page<'_>, profile: &Profile, waits: &Waits<'_>) -> io::Result<()> {
    if waits.outside.is_empty() {
        return Ok(());
    }
    page.heading("OUTSIDE CALLS: stalls while no system call was open")?;
    let columns = [
        text("process"),
        number("pid"),
        number("stalls"),
        number("total"),
        number("max"),
        number("blocked"),
        number("preempted"),
        number("throttled"),
        text("blocked on"),
    ];
    let lines: Vec<_> = waits.outside.iter().collect();
    let key = |line: &&super::Outside<'_>| group::key(profile, line.pid, ());
    let groups = group::groups(&lines, key, |line| line.stalls.total_ns);
    let row = |group: &Group<'_, &super::Outside<'_>>| {
        let stalls = sum(group.lines().iter().map(|line| &line.stalls));
        let by = merged(group.lines().iter().map(|line| &line.by));
        let on = merged(group.lines().iter().map(|line| &line.on));
        let blocked = group.lines().iter().map(|line| line.blocked_ns()).fold(0, u64::saturating_add);
        let of = |wait| unless_zero(by.get(&wait).copied().unwrap_or(0));
        vec![
            process(profile, group.first().pid),
            group.pid(|line| line.pid),
            humane::count(stalls.count()),
            humane::duration(stalls.total_ns),
            humane::duration(stalls.max_ns),
            unless_zero(blocked),
            of(Wait::Preempted),
            of(Wait::Throttled),
            heaviest(on, (blocked, 1), |on| clean::name(on).into_owned()),
        ]
    };
    let weights: Vec<_> = groups.iter().map(Group::weight).collect();
    let rows: Vec<_> = groups.iter().take(FEW_ROWS).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)
}
