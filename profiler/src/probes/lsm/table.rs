//! The table of the security layer.
//!
//! In: ranked lines. Out: hooks, below each its modules, and what the processes run as.

use std::io;

use super::lines::LsmLine;
use crate::profile::Profile;
use crate::render::fold::Folder;
use crate::render::page::{Page, number, text};
use crate::render::ranked::Ranked;
use crate::render::scene::Scene;
use crate::render::syscalls::{self};
use crate::render::table::{ROWS, ranked_table};
use crate::render::who::process;
use crate::render::{clean, humane};

/// All of it.
pub fn sections(page: &mut Page<'_>, scene: &Scene<'_>, _: &mut Folder<'_>) -> io::Result<()> {
    security(page, scene.profile, scene.ranked)
}

/// Time in the security layer: hooks, and below each its modules.
fn security(page: &mut Page<'_>, profile: &Profile, ranked: &Ranked<'_>) -> io::Result<()> {
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
            profile.processes.pid_text(line.pid),
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
        page.line(&format!(
            "  {} (pid {}) runs as {label}",
            process(profile, pid),
            profile.processes.pid_text(pid)
        ))?;
    }
    Ok(())
}
