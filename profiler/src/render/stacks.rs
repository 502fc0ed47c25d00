//! The heaviest stacks of the terminal summary, leaf first.
//!
//! In: rows with stacks. Out: for each a line with numbers and a line or two of functions.

use std::cmp::Reverse;
use std::io;

use super::findings::{Ranked, process};
use super::fold::Folder;
use super::name::{kernel_functions, nameless};
use super::page::{Page, WIDTH};
use super::probe::offcpu;
use super::syscalls::{self, CallClass};
use super::waits::merged::{self, Merged};
use super::waits::{Classes, Ender};
use super::{clean, findings, holders, humane, locks, parts, rows};
use crate::profile::rows::{CpuKey, SlowKey, StackSource};
use crate::profile::{Profile, SlowRow, StackId};

/// Stacks shown of each probe.
const STACKS: usize = 5;
/// Functions of a line at most.
const FUNCTIONS: usize = 12;

/// A kernel stack in one line, leaf first, from where it gets telling.
pub fn kernel_line(profile: &Profile, kernel: StackId) -> String {
    let telling = findings::telling_function(profile, kernel);
    let functions = kernel_functions(&profile.stacks, kernel).map(locks::base);
    let line = joined(functions.skip_while(|function| Some(*function) != telling));
    if line.is_empty() {
        without_names(profile, kernel).unwrap_or_else(|| "(no kernel stack)".to_owned())
    } else {
        line
    }
}

/// What stands in the place of functions when a stack was taken and none has a name.
fn without_names(profile: &Profile, kernel: StackId) -> Option<String> {
    nameless(&profile.stacks, kernel).map(|why| format!("(taken, but {why})"))
}

/// A whole kernel stack in one line, leaf first; empty without a stack.
fn whole_kernel_line(profile: &Profile, kernel: StackId) -> String {
    without_names(profile, kernel)
        .unwrap_or_else(|| joined(kernel_functions(&profile.stacks, kernel).map(locks::base)))
}

fn joined<'a>(functions: impl Iterator<Item = &'a str>) -> String {
    let functions: Vec<_> = functions.take(FUNCTIONS).map(clean::name).collect();
    functions.join(" < ")
}

/// Functions of a user or kernel stack, leaf first, in one line.
fn stack_line(folder: &mut Folder<'_>, id: StackId) -> String {
    folder.stack(id, None);
    let names = folder.take();
    joined(names.iter().rev().map(String::as_str))
}

fn labelled(page: &mut Page<'_>, label: &str, line: &str) -> io::Result<()> {
    if line.is_empty() { Ok(()) } else { page.line(&format!("      {label:<6} {}", cut_at_function(line))) }
}

/// Cuts a line of functions after a whole one.
fn cut_at_function(line: &str) -> String {
    let room = WIDTH - 16;
    if line.chars().count() <= room {
        return line.to_owned();
    }
    let short: String = line.chars().take(room).collect();
    short.rsplit_once(" < ").map_or_else(|| short.clone(), |(head, _)| format!("{head} …"))
}

/// Slow calls at work by stacks.
pub fn slow_calls(page: &mut Page<'_>, profile: &Profile, folder: &mut Folder<'_>) -> io::Result<()> {
    let threshold = match profile.header.slow_ns {
        0 => "all calls".to_owned(),
        slow => format!("calls ≥ {}", humane::setting(slow)),
    };
    page.heading(&format!("SLOW CALLS: {threshold} by stack, idle and futex left out"))?;
    let lines = rows::slow(profile);
    let work: Vec<_> =
        lines.into_iter().filter(|(key, _)| syscalls::class(key.nr) == CallClass::Work).collect();
    if work.is_empty() {
        return page.line("  none");
    }
    work.iter().take(STACKS).try_for_each(|(key, row)| slow_call(page, profile, (key, row), folder))?;
    if work.len() > STACKS {
        page.line(&format!(
            "  … and {} more stacks (syscall.svg)",
            humane::count((work.len() - STACKS) as u64)
        ))?;
    }
    Ok(())
}

fn slow_call(
    page: &mut Page<'_>,
    profile: &Profile,
    (key, row): (&SlowKey, &SlowRow),
    folder: &mut Folder<'_>,
) -> io::Result<()> {
    let shares = parts::shares(&row.parts);
    let off_cpu = match &*shares {
        "" => format!(", {} off the CPU", humane::part(row.off_cpu_ns, row.total_ns)),
        _ => String::new(),
    };
    page.line(&format!(
        "  {:>8}  {} × {} in {} (pid {}), max {}{off_cpu}",
        humane::duration(row.total_ns),
        humane::count(row.count),
        syscalls::name(key.nr),
        process(profile, key.pid),
        key.pid.0,
        humane::duration(row.max_ns),
    ))?;
    labelled(page, "parts", &shares)?;
    let kernel = match key.source {
        StackSource::None => "(none: no wait, spin or sample was seen in it)".to_owned(),
        StackSource::Wait | StackSource::Sample | StackSource::Spin => kernel_line(profile, key.kernel),
    };
    labelled(page, "kernel", &kernel)?;
    let user = stack_line(folder, key.user);
    labelled(page, "user", if user.is_empty() { "(no user stack)" } else { &user })
}

/// Lock waits by stacks.
pub fn lock_waits(
    page: &mut Page<'_>,
    profile: &Profile,
    folder: &mut Folder<'_>,
    ranked: &Ranked<'_>,
) -> io::Result<()> {
    if !ranked.locks.is_empty() {
        page.line("\n  Heaviest stacks:")?;
    }
    for line in ranked.locks.iter().take(STACKS) {
        page.line(&format!(
            "  {:>8}  {} [{}]",
            humane::duration(line.heaviest_ns),
            line.kind.name(),
            clean::name(&line.name.lock)
        ))?;
        labelled(page, "kernel", &whole_kernel_line(profile, line.heaviest.kernel))?;
        labelled(page, "user", &stack_line(folder, line.heaviest.user))?;
        labelled(page, "held by", &holders::phrase(profile, (line.pid, line.wait.total_ns), &line.holders))?;
    }
    Ok(())
}

/// CPU samples by stacks.
pub fn cpu(page: &mut Page<'_>, profile: &Profile, folder: &mut Folder<'_>) -> io::Result<()> {
    let mut lines: Vec<(&CpuKey, u64)> =
        profile.cpu.rows.iter().map(|(key, row)| (key, row.samples)).collect();
    let all = lines.iter().fold(0u64, |sum, (_, samples)| sum.saturating_add(*samples));
    lines.sort_by_key(|(_, samples)| Reverse(*samples));
    if !lines.is_empty() {
        page.line("\n  Heaviest stacks:")?;
    }
    for (key, samples) in lines.into_iter().take(STACKS) {
        page.line(&format!(
            "  {:>8}  {} in {} (pid {})",
            humane::part(samples, all),
            humane::plural(samples, "sample"),
            process(profile, key.pid),
            key.pid.0
        ))?;
        labelled(page, "kernel", &whole_kernel_line(profile, key.kernel))?;
        labelled(page, "user", &stack_line(folder, key.user))?;
    }
    Ok(())
}

/// Long waits off the CPU at work, by stacks, each with who ended it.
pub fn waits(page: &mut Page<'_>, profile: &Profile, folder: &mut Folder<'_>) -> io::Result<()> {
    let mut classes = Classes::new(profile);
    let lines = merged::rows(profile, folder, |key| classes.of_stack(key) == CallClass::Work);
    if !lines.is_empty() {
        page.line("\n  Heaviest stacks:")?;
    }
    for Merged { key, ender, waker, row, .. } in lines.into_iter().take(STACKS) {
        page.line(&format!(
            "  {:>8}  {} × {} in {} (pid {}), {}, max {}",
            humane::duration(row.total_ns),
            humane::count(row.waits),
            key.row.nr.map_or(offcpu::NO_CALL.into(), syscalls::name),
            process(profile, key.row.pid),
            key.row.pid.0,
            key.row.wait.name(),
            humane::duration(row.max_ns),
        ))?;
        labelled(page, "kernel", &kernel_line(profile, key.kernel))?;
        labelled(page, "user", &stack_line(folder, key.user))?;
        if ender != Ender::Unseen {
            let names = waker.iter().rev().map(|name| name.strip_suffix("_[k]").unwrap_or(name));
            let who = ender.name(profile, key.row.pid);
            labelled(page, "ended", &format!("by {who}: {}", joined(names)))?;
        }
    }
    Ok(())
}
