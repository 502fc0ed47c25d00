//! The tables of CPU samples.
//!
//! In: ranked lines. Out: samples by process, then the heaviest stacks.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;

use super::lines::{cpu_by_process, top_function};
use crate::profile::rows::CpuKey;
use crate::profile::{Pid, Profile, StackId};
use crate::render::fold::Folder;
use crate::render::group::{self, Group};
use crate::render::humane;
use crate::render::page::{Page, number, text};
use crate::render::ranked::Ranked;
use crate::render::scene::Scene;
use crate::render::stack_lines::{STACKS, labelled, line_hash, stack_line, whole_kernel_line};
use crate::render::table::{ROWS, ranked_table};
use crate::render::who::process;

/// All of them.
pub fn sections(page: &mut Page<'_>, scene: &Scene<'_>, folder: &mut Folder<'_>) -> io::Result<()> {
    processes(page, scene.profile, scene.ranked)?;
    stacks(page, scene.profile, folder)
}

/// CPU samples by process.
fn processes(page: &mut Page<'_>, profile: &Profile, ranked: &Ranked<'_>) -> io::Result<()> {
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
        let (function, samples) = top_function(&ranked.cpu, group);
        vec![
            process(profile, group.first().0),
            group.pid(profile, |(pid, _)| *pid),
            humane::count(group.weight()),
            humane::part(group.weight(), all),
            function.to_owned(),
            humane::part(samples, group.weight()),
        ]
    };
    let rows: Vec<_> = groups.iter().take(ROWS).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)
}

/// CPU samples by stacks, those that are spelled alike as one.
fn stacks(page: &mut Page<'_>, profile: &Profile, folder: &mut Folder<'_>) -> io::Result<()> {
    // The lines stand in it by their hashes: there may be a million.
    let mut sums: HashMap<(Pid, u64, u64), (CpuKey, u64)> = HashMap::new();
    // Many rows have one of few kernel stacks.
    let mut kernels: HashMap<StackId, u64> = HashMap::new();
    for (key, row) in &profile.cpu.rows {
        let hash = || line_hash(&whole_kernel_line(profile, key.kernel));
        let kernel = *kernels.entry(key.kernel).or_insert_with(hash);
        let (_, sum) =
            sums.entry((key.pid, kernel, line_hash(&stack_line(folder, key.user)))).or_insert((*key, 0));
        *sum = sum.saturating_add(row.samples);
    }
    let all = sums.values().fold(0u64, |sum, (_, samples)| sum.saturating_add(*samples));
    let mut lines: Vec<_> = sums.into_values().collect();
    lines.sort_by_key(|(key, samples)| (Reverse(*samples), *key));
    if !lines.is_empty() {
        page.line("\n  Heaviest stacks:")?;
    }
    for (CpuKey { pid, kernel, user }, samples) in lines.into_iter().take(STACKS) {
        page.line(&format!(
            "  {:>8}  {} in {} (pid {})",
            humane::part(samples, all),
            humane::plural(samples, "sample"),
            process(profile, pid),
            profile.processes.pid_text(pid)
        ))?;
        labelled(page, "kernel", &whole_kernel_line(profile, kernel))?;
        labelled(page, "user", &stack_line(folder, user))?;
    }
    Ok(())
}
