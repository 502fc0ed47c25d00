//! The tables of the terminal summary.
//!
//! In: ranked rows. Out: at most [`ROWS`] lines each, the rest counted with its weight.

use std::borrow::Cow;
use std::io;

use super::findings::{Finding, Ranked, cpu_by_process, process, top_function};
use super::group::{self, Group};
use super::page::{Page, number, text};
use super::rows::{LockLine, LsmLine, SyscallLine};
use super::syscalls::{self, CallClass};
use super::{clean, errno, findings, humane};
use crate::profile::rows::LockContext;
use crate::profile::{Histogram, Pid, Profile, SyscallRow};

/// Rows of a table at most.
pub const ROWS: usize = 15;
/// Rows of a table that is not the answer.
pub const FEW_ROWS: usize = 5;

/// System calls: work, then user locks and idle calls apart and shorter.
pub fn syscalls(page: &mut Page<'_>, profile: &Profile, ranked: &Ranked<'_>, idle: bool) -> io::Result<()> {
    for (class, heading, limit) in [
        (CallClass::Work, "SYSTEM CALLS", ROWS),
        (CallClass::UserLock, "USER LOCKS: futex waits, parked threads included", FEW_ROWS),
        (CallClass::Idle, "IDLE CALLS: waiting for something to do", FEW_ROWS),
    ] {
        if class == CallClass::Idle && !idle {
            continue;
        }
        let lines: Vec<_> = ranked.syscalls.iter().filter(|line| line.class == class).collect();
        if class == CallClass::Work || !lines.is_empty() {
            page.heading(heading)?;
            syscall_table(page, profile, &lines, limit)?;
        }
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
        text("call"),
        number("count"),
        number("errors"),
        number("total"),
        number("p50"),
        number("p99"),
        number("max"),
    ];
    let key = |line: &&SyscallLine<'_>| group::key(profile, line.pid, line.nr);
    let groups = group::groups(lines, key, |line| line.row.latency.total_ns);
    let row = |group: &Group<'_, &SyscallLine<'_>>| {
        let (line, sum) = (group.first(), summed(group));
        let latency = &sum.latency;
        vec![
            process(profile, line.pid),
            group.pid(|line| line.pid),
            line.name.to_string(),
            humane::count(latency.count()),
            errors(&sum),
            humane::duration(latency.total_ns),
            humane::duration(latency.percentile_ns(500)),
            humane::duration(latency.percentile_ns(990)),
            humane::duration(latency.max_ns),
        ]
    };
    let weights: Vec<_> = groups.iter().map(Group::weight).collect();
    let rows: Vec<_> = groups.iter().take(limit).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)
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

/// Writes rows, or "none", and counts what is not shown.
pub fn ranked_table(
    page: &mut Page<'_>,
    columns: &[super::page::Column],
    rows: &[Vec<String>],
    weights: &[u64],
) -> io::Result<()> {
    if rows.is_empty() {
        return page.line("  none");
    }
    page.table(columns, rows)?;
    rest(page, rows.len(), weights)
}

/// Says how much is not shown.
fn rest(page: &mut Page<'_>, shown: usize, weights: &[u64]) -> io::Result<()> {
    if weights.len() <= shown {
        return Ok(());
    }
    let sum = |weights: &[u64]| weights.iter().fold(0, |sum: u64, weight| sum.saturating_add(*weight));
    let share = humane::part(sum(&weights[shown..]), sum(weights));
    page.line(&format!(
        "  … and {} more, {share} of the whole",
        humane::count((weights.len() - shown) as u64)
    ))
}

/// Lock waits.
pub fn locks<'p>(page: &mut Page<'_>, profile: &'p Profile, ranked: &'p Ranked<'_>) -> io::Result<()> {
    page.heading("KERNEL LOCKS: time waited")?;
    let columns = [
        text("kind"),
        text("lock"),
        text("caller"),
        text("process"),
        number("waits"),
        number("total"),
        number("p50"),
        number("p99"),
        number("max"),
    ];
    let key = |line: &'p LockLine| {
        group::key(profile, line.pid, (line.kind, line.context, &line.name.lock, &line.name.caller))
    };
    let groups = group::groups(&ranked.locks, key, |line| line.wait.total_ns);
    let row = |group: &Group<'_, LockLine>| {
        let line = group.first();
        let mut wait = Histogram::default();
        group.lines().iter().for_each(|line| wait.merge(&line.wait));
        vec![
            line.kind.name().to_owned(),
            clean::name(&line.name.lock).into_owned(),
            clean::name(&line.name.caller).into_owned(),
            waiter(profile, group),
            humane::count(wait.count()),
            humane::duration(wait.total_ns),
            humane::duration(wait.percentile_ns(500)),
            humane::duration(wait.percentile_ns(990)),
            humane::duration(wait.max_ns),
        ]
    };
    let weights: Vec<_> = groups.iter().map(Group::weight).collect();
    let rows: Vec<_> = groups.iter().take(ROWS).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)
}

fn waiter(profile: &Profile, group: &Group<'_, LockLine>) -> String {
    let line = group.first();
    match line.context {
        LockContext::Task => format!("{} {}", process(profile, line.pid), group.pid(|line| line.pid)),
        LockContext::Softirq => "(softirq)".to_owned(),
        LockContext::Hardirq => "(hardirq)".to_owned(),
        LockContext::Nmi => "(nmi)".to_owned(),
    }
}

/// Time in the security layer: hooks, and below each its modules.
pub fn security(page: &mut Page<'_>, profile: &Profile, ranked: &Ranked<'_>) -> io::Result<()> {
    page.heading("SECURITY LAYER: time in LSM hooks, and of it in each module")?;
    let columns = [
        text("process"),
        number("pid"),
        text("hook, module"),
        number("count"),
        number("total"),
        number("p50"),
        number("p99"),
        number("max"),
        number("of hook"),
        text("of call"),
    ];
    let row = |line: &LsmLine<'_>| {
        let name = match line.site.module.as_str() {
            "" => clean::name(&line.site.hook).into_owned(),
            module => format!("  {}", clean::name(module)),
        };
        vec![
            if line.pid.0 == 0 { "(interrupt)".to_owned() } else { process(profile, line.pid) },
            line.pid.0.to_string(),
            name,
            humane::count(line.time.count()),
            humane::duration(line.time.total_ns),
            humane::duration(line.time.percentile_ns(500)),
            humane::duration(line.time.percentile_ns(990)),
            humane::duration(line.time.max_ns),
            line.of_hook.map_or_else(String::new, humane::share),
            of_call(line),
        ]
    };
    // A module's time is in its hook's already.
    let weight = |line: &LsmLine<'_>| if line.site.module.is_empty() { line.time.total_ns } else { 0 };
    let weights: Vec<_> = ranked.lsm.iter().map(weight).collect();
    let rows: Vec<_> = ranked.lsm.iter().take(ROWS).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)?;
    labels(page, profile, &ranked.lsm)
}

/// The part of the call it took most of, or none when calls were not measured.
fn of_call(line: &LsmLine<'_>) -> String {
    line.calls.first().map_or_else(String::new, |call| {
        let name = syscalls::name(call.nr);
        let others = if line.calls.len() > 1 { "+" } else { "" };
        call.share.map_or_else(String::new, |share| format!("{} {name}{others}", humane::share(share)))
    })
}

/// The profiles or contexts of the processes above.
fn labels(page: &mut Page<'_>, profile: &Profile, lines: &[LsmLine<'_>]) -> io::Result<()> {
    let mut pids: Vec<_> = lines.iter().take(ROWS).map(|line| line.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    for pid in pids.into_iter().filter(|pid| !profile.processes.label(*pid).is_empty()) {
        let label = clean::line(profile.processes.label(pid), 60);
        page.line(&format!("  {} (pid {}) runs as {label}", process(profile, pid), pid.0))?;
    }
    Ok(())
}

/// CPU samples by process.
pub fn cpu(page: &mut Page<'_>, profile: &Profile, ranked: &Ranked<'_>) -> io::Result<()> {
    page.heading(&format!("CPU: samples at {} Hz", profile.header.frequency_hz))?;
    let columns = [
        text("process"),
        number("pid"),
        number("samples"),
        number("share"),
        text("top function"),
        number("of it"),
    ];
    let processes = cpu_by_process(&ranked.cpu);
    let groups = group::groups(&processes, |(pid, _)| group::key(profile, *pid, ()), |(_, samples)| *samples);
    let weights: Vec<_> = groups.iter().map(Group::weight).collect();
    let all: u64 = weights.iter().fold(0, |sum, samples| sum.saturating_add(*samples));
    let row = |group: &Group<'_, (Pid, u64)>| {
        let (function, samples) = top_function(ranked, group);
        vec![
            process(profile, group.first().0),
            group.pid(|(pid, _)| *pid),
            humane::count(group.weight()),
            humane::part(group.weight(), all),
            function.to_owned(),
            humane::part(samples, group.weight()),
        ]
    };
    let rows: Vec<_> = groups.iter().take(ROWS).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)
}

/// Calls that had not returned, work first, oldest first.
pub fn in_flight(page: &mut Page<'_>, profile: &Profile) -> io::Result<()> {
    page.heading("IN FLIGHT: calls that had not returned at the end (≥: began before attach)")?;
    let columns =
        [number("age"), text("call"), text("process"), number("pid"), number("tid"), text("waits in")];
    let mut calls: Vec<_> = profile.in_flight.iter().collect();
    calls.sort_by_key(|call| (syscalls::class(call.nr), std::cmp::Reverse(call.age_ns), call.tid));
    let busy = calls.iter().filter(|call| syscalls::class(call.nr) == CallClass::Work).count();
    let row = |call: &&crate::profile::InFlightCall| {
        let age = humane::duration(call.age_ns);
        vec![
            if call.at_least { format!("≥ {age}") } else { age },
            syscalls::name(call.nr).into_owned(),
            process(profile, call.pid),
            call.pid.0.to_string(),
            call.tid.0.to_string(),
            super::stacks::kernel_line(profile, call.kernel),
        ]
    };
    if busy == 0 {
        page.line("  none at work")?;
    } else {
        page.table(&columns, &calls[..busy.min(ROWS)].iter().map(row).collect::<Vec<_>>())?;
    }
    let quiet = calls.len() - busy;
    let hidden = busy.saturating_sub(ROWS);
    if hidden > 0 {
        page.line(&format!("  … and {} more", humane::count(hidden as u64)))?;
    }
    if quiet > 0 {
        let quiet = humane::count(quiet as u64);
        page.line(&format!("  and {quiet} idle or waiting on user locks (in summary.json)"))?;
    }
    Ok(())
}

/// Losses and classes, each with number and share.
pub fn losses(page: &mut Page<'_>, profile: &Profile, elided: &[(&str, f64)]) -> io::Result<()> {
    use crate::profile::LossKind;
    page.heading("LOSSES")?;
    let columns = [text("kind"), number("number"), number("share"), text("what")];
    let rows = |classes: bool| -> Vec<Vec<String>> {
        let occurred = profile.ledger.occurred();
        occurred
            .filter(|(class, _)| (class.kind() == LossKind::Class) == classes)
            .map(|(class, events)| {
                let share = profile.ledger.share(class).map_or_else(String::new, humane::share);
                let kind = format!("{:?}", class.kind()).to_lowercase();
                vec![kind, humane::count(events), share, class.text().to_owned()]
            })
            .collect()
    };
    let lost = rows(false);
    ranked_table(page, &columns, &lost, &[])?;
    for (probe, share) in elided.iter().filter(|(_, share)| *share > 0.0) {
        page.line(&format!(
            "  {} of {probe}.svg is too narrow to draw ({probe}.folded has it)",
            humane::share(*share)
        ))?;
    }
    let classes = rows(true);
    if !classes.is_empty() {
        page.heading("NOT LOST, but told apart")?;
        page.table(&columns, &classes)?;
    }
    Ok(())
}

/// What measuring cost.
pub fn cost(page: &mut Page<'_>, profile: &Profile) -> io::Result<()> {
    let cost = &profile.cost;
    page.heading("COST OF MEASURING")?;
    let kernel = cost
        .programs_share()
        .map_or_else(|| "not timed".to_owned(), |share| format!("{} of the machine", humane::share(share)));
    page.paragraph(
        "  ",
        &format!(
            "kernel programs {kernel}, this process {}; memory {} + BPF maps {} ({} at 256 CPUs)",
            humane::share(cost.process_share(profile.duration_ns)),
            humane::bytes(cost.peak_rss_bytes),
            humane::bytes(cost.map_bytes),
            humane::bytes(cost.map_bytes_256_cpus),
        ),
    )?;
    let mut programs: Vec<_> = cost.programs.iter().filter(|program| program.runs > 0).collect();
    programs.sort_by_key(|program| std::cmp::Reverse(program.run_ns));
    let rows: Vec<_> = programs
        .iter()
        .take(ROWS)
        .map(|program| {
            vec![
                clean::name(&program.program).into_owned(),
                humane::count(program.runs),
                humane::duration(program.run_ns),
                humane::duration(program.run_ns / program.runs.max(1)),
                humane::count(program.recursion_misses),
            ]
        })
        .collect();
    let columns = [text("program"), number("runs"), number("time"), number("each"), number("skipped")];
    if rows.is_empty() { Ok(()) } else { page.table(&columns, &rows) }
}

/// The sentences that answer "where did the time go".
pub fn findings(page: &mut Page<'_>, profile: &Profile, found: &[Finding]) -> io::Result<()> {
    page.heading("WHERE DID THE TIME GO")?;
    let sentences = findings::sentences(found);
    if sentences.is_empty() {
        let waits = profile.waits.rows.values().map(Histogram::count).fold(0, u64::saturating_add);
        let nothing = match profile.in_flight.len() {
            0 if waits > 0 => format!("  no rule found anything in {}", humane::plural(waits, "wait")),
            0 => "  nothing happened: no call ended, no lock was waited for, no sample fell".to_owned(),
            open => format!("  no call ended; {open} in flight at the end"),
        };
        return page.line(&nothing);
    }
    sentences.iter().try_for_each(|sentence| page.paragraph("  * ", sentence))
}
