//! The tables of system calls.
//!
//! In: ranked lines. Out: slow calls by stack, the slowest one by one, all calls, those in flight.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;

use super::in_flight::{self, Waiting};
use super::lines::{self, SyscallLine};
use super::{parts, slowest, subject};
use crate::probes::blame::by_place::ByPlace;
use crate::profile::rows::{SlowKey, StackSource};
use crate::profile::{Pid, Profile, SlowRow, SyscallRow, Wait};
use crate::render::fold::Folder;
use crate::render::group::{self, Group};
use crate::render::page::{Page, decisive, number, text};
use crate::render::ranked::Ranked;
use crate::render::scene::{Idle, Scene};
use crate::render::stack_lines::{STACKS, kernel_line, labelled, line_hash, stack_line};
use crate::render::syscalls::{self, CallClass, GUESSED};
use crate::render::table::{FEW_ROWS, ROWS, ranked_table};
use crate::render::who::process;
use crate::render::{errno, humane, thread};

/// All of them.
pub fn sections(page: &mut Page<'_>, scene: &Scene<'_>, folder: &mut Folder<'_>) -> io::Result<()> {
    slow_calls(page, scene, folder)?;
    slowest::table(page, scene.profile)?;
    calls(page, scene.profile, scene.ranked, scene.idle)?;
    open_calls(page, scene)
}

/// Slow calls at work by stacks; idle ones, too, where they stand among these.
fn slow_calls(page: &mut Page<'_>, scene: &Scene<'_>, folder: &mut Folder<'_>) -> io::Result<()> {
    let profile = scene.profile;
    let threshold = match profile.header.slow_ns {
        0 => "all calls".to_owned(),
        slow => format!("calls ≥ {}", humane::setting(slow)),
    };
    let left_out = if scene.idle == Idle::Among { "futex left out" } else { "idle and futex left out" };
    page.heading(&format!("SLOW CALLS: {threshold} by stack, {left_out}"))?;
    let work = spelled_slow(scene, folder);
    if work.is_empty() {
        return page.line("  none");
    }
    let chains = ByPlace::new(profile);
    for line in work.iter().take(STACKS) {
        slow_call(page, profile, folder, line)?;
        let chain = chains.line(&(line.key.pid, Some(line.key.nr), line.key.kernel));
        if !chain.is_empty() {
            labelled(page, "chain", &chain)?;
        }
    }
    if work.len() > STACKS {
        page.line(&format!(
            "  … and {} more stacks (syscall.svg)",
            humane::count((work.len() - STACKS) as u64)
        ))?;
    }
    Ok(())
}

/// Slow calls of one process whose stacks are spelled alike.
struct SlowLine {
    class: CallClass,
    key: SlowKey,
    row: SlowRow,
}

/// Slow calls as they are shown, the longest total first: two addresses in one function are one place.
fn spelled_slow(scene: &Scene<'_>, folder: &mut Folder<'_>) -> Vec<SlowLine> {
    let profile = scene.profile;
    let mut spelled: HashMap<(CallClass, Pid, u32, u64, u64), SlowLine> = HashMap::new();
    let shown = |class: CallClass| scene.idle.stands_in(CallClass::Work, class);
    for (class, key, row) in lines::slow(profile).into_iter().filter(|(class, ..)| shown(*class)) {
        let kernel = line_hash(&slow_kernel_line(profile, key));
        let same = (class, key.pid, key.nr, kernel, line_hash(&stack_line(folder, key.user)));
        let line = spelled.entry(same).or_insert(SlowLine { class, key: *key, row: SlowRow::default() });
        lines::add(&mut line.row, row);
    }
    let mut lines: Vec<_> = spelled.into_values().collect();
    lines.sort_by_key(|line| (Reverse(line.row.total_ns), line.key));
    lines
}

fn slow_kernel_line(profile: &Profile, key: &SlowKey) -> String {
    match key.source {
        StackSource::None => "(none: no wait, spin or sample was seen in it)".to_owned(),
        StackSource::Wait | StackSource::Sample | StackSource::Spin => kernel_line(profile, key.kernel),
    }
}

fn slow_call(
    page: &mut Page<'_>,
    profile: &Profile,
    folder: &mut Folder<'_>,
    SlowLine { class, key, row }: &SlowLine,
) -> io::Result<()> {
    let shares = parts::shares(&row.parts);
    let off_cpu = match &*shares {
        "" => format!(", {} off the CPU", humane::part(row.off_cpu_ns, row.total_ns)),
        _ => String::new(),
    };
    page.line(&format!(
        "  {:>8}  {} × {} in {} (pid {}), {}max {}{off_cpu}",
        syscalls::time(key.nr, row.total_ns),
        humane::count(row.count),
        syscalls::name(key.nr),
        process(profile, key.pid),
        profile.processes.pid_text(key.pid),
        if *class == CallClass::Idle { "idle, " } else { "" },
        syscalls::time(key.nr, row.max_ns),
    ))?;
    labelled(page, "parts", &shares)?;
    labelled(page, "kernel", &slow_kernel_line(profile, key))?;
    let user = stack_line(folder, key.user);
    labelled(page, "user", if user.is_empty() { "(no user stack)" } else { &user })
}

/// System calls: work, then user locks and idle calls apart and shorter; or idle calls among work.
fn calls(page: &mut Page<'_>, profile: &Profile, ranked: &Ranked<'_>, idle: Idle) -> io::Result<()> {
    let tables = [
        (CallClass::Work, "SYSTEM CALLS", ROWS),
        (CallClass::UserLock, "USER LOCKS: futex waits, parked threads included", FEW_ROWS),
        (CallClass::Idle, "IDLE CALLS: waiting for something to do", FEW_ROWS),
    ];
    for (heading, lines, limit) in idle.tables(&ranked.syscalls, |line| line.class, tables) {
        page.heading(heading)?;
        syscall_table(page, profile, &lines, limit)?;
    }
    Ok(())
}

fn syscall_table(
    page: &mut Page<'_>,
    profile: &Profile,
    lines: &[&SyscallLine<'_>],
    limit: usize,
) -> io::Result<()> {
    let columns = [
        text("process"),
        number("pid"),
        decisive("call"),
        decisive("class"),
        number("count"),
        number("errors"),
        number("total"),
        number("p50"),
        number("p99"),
        number("max"),
    ];
    let key = |line: &&SyscallLine<'_>| group::key(profile, line.pid, (line.nr, line.class));
    let groups = group::groups(lines, key, |line| line.row.latency.total_ns);
    let row = |group: &Group<'_, &SyscallLine<'_>>| {
        let (line, sum) = (group.first(), summed(group));
        let latency = &sum.latency;
        let time = |ns| syscalls::time(line.nr, ns);
        vec![
            process(profile, line.pid),
            group.pid(profile, |line| line.pid),
            line.name.to_string(),
            line.class.cell(line.is_guessed()),
            humane::count(latency.count()),
            errors(&sum),
            time(latency.total_ns),
            time(latency.percentile_ns(500)),
            time(latency.percentile_ns(990)),
            time(latency.max_ns),
        ]
    };
    let weights: Vec<_> = groups.iter().map(Group::weight).collect();
    let rows: Vec<_> = groups.iter().take(limit).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)?;
    match groups.iter().take(limit).any(|group| group.first().is_guessed()) {
        true => page.line(GUESSED),
        false => Ok(()),
    }
}

/// The calls of a group as one row.
fn summed<'l>(group: &Group<'l, &SyscallLine<'l>>) -> Cow<'l, SyscallRow> {
    let [first, others @ ..] = group.lines() else { return Cow::Owned(SyscallRow::default()) };
    let mut sum = Cow::Borrowed(first.row);
    for line in others {
        let sum = sum.to_mut();
        sum.latency.merge(&line.row.latency);
        for (&errno, &count) in &line.row.errors {
            let total = sum.errors.entry(errno).or_default();
            *total = total.saturating_add(count);
        }
    }
    sum
}

/// The most frequent error with its count; `+` when there are others.
fn errors(row: &SyscallRow) -> String {
    let Some((errno, count)) = row.errors.iter().max_by_key(|(_, count)| **count) else {
        return String::new();
    };
    let others = if row.errors.len() > 1 { "+" } else { "" };
    format!("{} {}{others}", humane::count(*count), errno::name(*errno))
}

/// Calls that had not returned by place: work first, of that what hangs, then what no signal ends, then the most.
fn open_calls(page: &mut Page<'_>, scene: &Scene<'_>) -> io::Result<()> {
    let profile = scene.profile;
    page.heading("IN FLIGHT: calls that had not returned at the end (≥: began before attach)")?;
    let columns = [
        number("age"),
        number("calls"),
        text("call"),
        text("process"),
        text("pid"),
        text("thread"),
        text("class"),
        text("state"),
        decisive("of"),
        text("waits in"),
    ];
    let mut groups = in_flight::groups(profile);
    let shown = |group: &Waiting<'_>| scene.idle.stands_in(CallClass::Work, group.class);
    // Those that are shown first, each kind in the order that it has.
    groups.sort_by_key(|group| !shown(group));
    let busy = groups.iter().filter(|group| shown(group)).count();
    if busy == 0 {
        page.line(if scene.idle == Idle::Among { "  none" } else { "  none at work" })?;
    } else {
        let rows: Vec<_> =
            groups[..busy.min(ROWS)].iter().map(|group| in_flight_row(profile, group)).collect();
        page.table(&columns, &rows)?;
        if groups[..busy.min(ROWS)].iter().any(|group| !group.first().subject().path.is_empty()) {
            page.line(subject::QUOTED)?;
        }
    }
    let number = |groups: &[Waiting<'_>]| groups.iter().map(|group| group.calls.len() as u64).sum::<u64>();
    if busy > ROWS {
        let (hidden, calls) = (&groups[ROWS..busy], number(&groups[ROWS..busy]));
        let places = humane::count(hidden.len() as u64);
        page.line(&format!("  … and {} more in {places} other places", humane::count(calls)))?;
    }
    let quiet = number(&groups[busy..]);
    if quiet > 0 {
        let quiet = humane::count(quiet);
        let what = if scene.idle == Idle::Among { "" } else { "idle or " };
        page.line(&format!("  and {quiet} {what}waiting on user locks (in summary.json)"))?;
    }
    Ok(())
}

/// `pipe:[4711] with logger[812] at the other end; the others of others`: what the oldest is about.
fn about(profile: &Profile, group: &Waiting<'_>) -> String {
    let words = subject::words(profile, group.first().subject());
    if words.is_empty() || group.is_about_one() { words } else { format!("{words}; the others of others") }
}

fn in_flight_row(profile: &Profile, group: &Waiting<'_>) -> Vec<String> {
    let call = group.first();
    let (pid, thread) = match (group.processes(), group.calls.len()) {
        (1, 1) => (call.pid.0.to_string(), thread::cell(profile, call.pid, (call.tid, &call.comm))),
        (1, threads) => (call.pid.0.to_string(), format!("×{}", humane::count(threads as u64))),
        (processes, _) => (format!("×{}", humane::count(processes as u64)), String::new()),
    };
    vec![
        humane::least(call.age_ns, call.at_least),
        humane::count(group.calls.len() as u64),
        syscalls::name(call.nr).into_owned(),
        process(profile, call.pid),
        pid,
        thread,
        group.class.name().to_owned(),
        match call.wait {
            Some(Wait::Uninterruptible) => "D".to_owned(),
            Some(wait) => wait.name().to_owned(),
            None => String::new(),
        },
        about(profile, group),
        format!("{}{}", kernel_line(profile, call.kernel), in_flight::held_by(profile, call)),
    ]
}
