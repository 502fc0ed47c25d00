//! The tables of waits that block.
//!
//! In: ranked lines. Out: who blocked on what and who ended it, work first; the heaviest stacks; who stalled outside of
//! calls.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;

use super::lines::Blocked;
use super::merged::{self as long, Merged};
use super::outside::Outside;
use super::wakers;
use crate::probes::blame::by_place::ByPlace;
use crate::probes::blame::chain_table;
use crate::probes::blame::table as held;
use crate::probes::waits::class::{Basis, Classes};
use crate::probes::waits::ender::Ender;
use crate::probes::waits::sums::{heaviest, merged, sum, unless_zero};
use crate::profile::rows::CallNumber;
use crate::profile::{Histogram, Profile, Wait};
use crate::render::fold::Folder;
use crate::render::group::{self, Group};
use crate::render::page::{Page, decisive, number, text};
use crate::render::scene::{Idle, Scene};
use crate::render::stack_lines::{STACKS, kernel_line, labelled, pushed_line, stack_line};
use crate::render::syscalls::{self, CallClass, GUESSED, NO_CALL};
use crate::render::table::{FEW_ROWS, ranked_table};
use crate::render::who::process;
use crate::render::{clean, humane};

/// Rows of a table at most.
const ROWS: usize = 10;

/// All of them.
pub fn sections(page: &mut Page<'_>, scene: &Scene<'_>, folder: &mut Folder<'_>) -> io::Result<()> {
    blocked(page, scene.profile, &scene.ranked.blocked, scene.idle)?;
    held::sections(page, scene.profile)?;
    chain_table::sections(page, scene.profile)?;
    stacks(page, scene, folder)?;
    outside(page, scene.profile, &scene.ranked.outside)
}

/// Blocked waits: work, then user locks and idle ones apart and shorter; or idle ones among work.
fn blocked<'p>(
    page: &mut Page<'_>,
    profile: &'p Profile,
    lines: &'p [Blocked<'p>],
    idle: Idle,
) -> io::Result<()> {
    let tables = [
        (CallClass::Work, "OFF THE CPU: waits that block", ROWS),
        (CallClass::UserLock, "OFF THE CPU on user locks: futex waits, parked threads included", FEW_ROWS),
        (CallClass::Idle, "OFF THE CPU idle: waiting for something to do", FEW_ROWS),
    ];
    for (heading, lines, limit) in idle.tables(lines, |line| line.class, tables) {
        page.heading(heading)?;
        blocked_table(page, profile, &lines, limit)?;
    }
    Ok(())
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
        decisive("call"),
        decisive("class"),
        number("waits"),
        number("total"),
        number("p99"),
        number("max"),
        decisive("on"),
        decisive("ended by"),
    ];
    let key = |line: &&Blocked<'p>| group::key(profile, line.pid, (line.nr, line.class));
    let groups = group::groups(lines, key, |line| line.total_ns);
    let row = |group: &Group<'_, &Blocked<'p>>| {
        let line = group.first();
        let count = group.lines().iter().map(|line| line.count).fold(0, u64::saturating_add);
        let on = merged(group.lines().iter().map(|line| &line.on));
        let enders = merged(group.lines().iter().map(|line| &line.enders));
        vec![
            process(profile, line.pid),
            group.pid(profile, |line| line.pid),
            line.nr.map_or(Cow::Borrowed(NO_CALL), syscalls::name_only).into_owned(),
            line.class.cell(is_guessed(line)),
            humane::count(count),
            time(line.nr, group.weight()),
            p99(group.lines()),
            time(line.nr, group.lines().iter().map(|line| line.max_ns).max().unwrap_or(0)),
            heaviest(on, (group.weight(), 1), |on| clean::name(on).into_owned()),
            heaviest(enders, (group.weight(), 1), |ender: Ender| ender.name(profile, line.pid)),
        ]
    };
    let weights: Vec<_> = groups.iter().map(Group::weight).collect();
    let rows: Vec<_> = groups.iter().take(limit).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)?;
    match groups.iter().take(limit).any(|group| is_guessed(group.first())) {
        true => page.line(GUESSED),
        false => Ok(()),
    }
}

/// Whether a row's class rests on the call's name where who ended the wait might have told another. A futex is one.
fn is_guessed(line: &Blocked<'_>) -> bool {
    line.by == Basis::Call && line.class != CallClass::UserLock
}

/// Of all waits, where none of them stands in another table.
fn p99(lines: &[&&Blocked<'_>]) -> String {
    let mut sum = Histogram::default();
    for line in lines {
        let Some(waits) = &line.waits else { return String::new() };
        sum.merge(waits);
    }
    time(lines.first().and_then(|line| line.nr), sum.percentile_ns(990))
}

/// A time of waits: at least that, in calls that began before the recording.
fn time(nr: Option<CallNumber>, ns: u64) -> String {
    humane::least(ns, nr.is_some_and(syscalls::began_before))
}

/// Long waits off the CPU at work, by stacks, each with who ended it; idle ones, too, where they stand among these.
fn stacks(page: &mut Page<'_>, scene: &Scene<'_>, folder: &mut Folder<'_>) -> io::Result<()> {
    let profile = scene.profile;
    let mut classes = Classes::new(profile);
    let mut idle = BTreeSet::new();
    let lines = long::rows(profile, |key| {
        let class = classes.of_stack(key);
        if class == CallClass::Idle {
            idle.insert(*key);
        }
        scene.idle.stands_in(CallClass::Work, class)
    });
    if !lines.is_empty() {
        page.line("\n  Heaviest stacks:")?;
    }
    let chains = ByPlace::new(profile);
    for Merged { key, ender, row } in lines.into_iter().take(STACKS) {
        page.line(&format!(
            "  {:>8}  {} × {} in {} (pid {}), {}{}, max {}",
            time(key.row.nr, row.total_ns),
            humane::count(row.waits),
            key.row.nr.map_or(NO_CALL.into(), syscalls::name),
            process(profile, key.row.pid),
            profile.processes.pid_text(key.row.pid),
            if idle.contains(&key) { "idle, " } else { "" },
            key.row.wait.name(),
            time(key.row.nr, row.max_ns),
        ))?;
        labelled(page, "kernel", &kernel_line(profile, key.kernel))?;
        labelled(page, "user", &stack_line(folder, key.user))?;
        if ender != Ender::Unseen {
            wakers::push_stacks(ender, key.waker, folder);
            let names = pushed_line(folder, |name| name.strip_suffix("_[k]").unwrap_or(name));
            let who = ender.name(profile, key.row.pid);
            labelled(page, "ended", &format!("by {who}: {names}"))?;
        }
        let chain = chains.line(&(key.row.pid, key.row.nr, key.kernel));
        if !chain.is_empty() {
            labelled(page, "chain", &chain)?;
        }
    }
    Ok(())
}

/// Stalls outside of calls, by process.
fn outside(page: &mut Page<'_>, profile: &Profile, lines: &[Outside<'_>]) -> io::Result<()> {
    if lines.is_empty() {
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
        decisive("blocked on"),
    ];
    let lines: Vec<_> = lines.iter().collect();
    let key = |line: &&Outside<'_>| group::key(profile, line.pid, ());
    let groups = group::groups(&lines, key, |line| line.stalls.total_ns);
    let row = |group: &Group<'_, &Outside<'_>>| {
        let stalls = sum(group.lines().iter().map(|line| &line.stalls));
        let by = merged(group.lines().iter().map(|line| &line.by));
        let on = merged(group.lines().iter().map(|line| &line.on));
        let blocked = group.lines().iter().map(|line| line.blocked_ns()).fold(0, u64::saturating_add);
        let of = |wait| unless_zero(by.get(&wait).copied().unwrap_or(0));
        vec![
            process(profile, group.first().pid),
            group.pid(profile, |line| line.pid),
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
