//! The tables of lock waits.
//!
//! In: ranked lines. Out: waits by lock and caller, then the heaviest stacks.

use std::io;

use super::holders;
use super::lines::LockLine;
use crate::profile::rows::LockContext;
use crate::profile::{Histogram, Profile};
use crate::render::fold::Folder;
use crate::render::group::{self, Group};
use crate::render::page::{Page, number, text};
use crate::render::scene::Scene;
use crate::render::stack_lines::{STACKS, labelled, stack_line, whole_kernel_line};
use crate::render::table::{ROWS, ranked_table};
use crate::render::who::process;
use crate::render::{clean, humane};

/// All of them.
pub fn sections(page: &mut Page<'_>, scene: &Scene<'_>, folder: &mut Folder<'_>) -> io::Result<()> {
    waits(page, scene.profile, &scene.ranked.locks)?;
    stacks(page, scene.profile, folder, &scene.ranked.locks)
}

/// Lock waits.
fn waits<'p>(page: &mut Page<'_>, profile: &'p Profile, lines: &'p [LockLine]) -> io::Result<()> {
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
    let groups = group::groups(lines, key, |line| line.wait.total_ns);
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
        LockContext::Task => {
            format!("{} {}", process(profile, line.pid), group.pid(profile, |line| line.pid))
        }
        LockContext::Softirq => "(softirq)".to_owned(),
        LockContext::Hardirq => "(hardirq)".to_owned(),
        LockContext::Nmi => "(nmi)".to_owned(),
    }
}

/// Lock waits by stacks.
fn stacks(
    page: &mut Page<'_>,
    profile: &Profile,
    folder: &mut Folder<'_>,
    lines: &[LockLine],
) -> io::Result<()> {
    if !lines.is_empty() {
        page.line("\n  Heaviest stacks:")?;
    }
    for line in lines.iter().take(STACKS) {
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
