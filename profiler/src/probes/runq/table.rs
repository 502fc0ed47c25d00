//! The table of waits for a CPU.
//!
//! In: ranked lines. Out: who waited, why, and who ran meanwhile; the waits by length.

use std::io;

use super::lines::{Queued, ran_meanwhile};
use crate::probes::waits::sums::{sum, unless_zero};
use crate::profile::{Histogram, Profile};
use crate::render::fold::Folder;
use crate::render::group::{self, Group};
use crate::render::humane;
use crate::render::page::{Page, decisive, number, text};
use crate::render::scene::Scene;
use crate::render::table::ranked_table;
use crate::render::who::process;

/// Rows of a table at most.
const ROWS: usize = 10;

/// All of it.
pub fn sections(page: &mut Page<'_>, scene: &Scene<'_>, _: &mut Folder<'_>) -> io::Result<()> {
    queued(page, scene.profile, &scene.ranked.queued)
}

/// Waits for a CPU, by process.
fn queued(page: &mut Page<'_>, profile: &Profile, lines: &[Queued]) -> io::Result<()> {
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
        decisive("ran meanwhile"),
    ];
    let key = |line: &Queued| group::key(profile, line.pid, ());
    let groups = group::groups(lines, key, |line| line.waits.total_ns);
    let row = |group: &Group<'_, Queued>| {
        let all = sum(group.lines().iter().map(|line| &line.waits));
        let total = |ns: fn(&Queued) -> u64| {
            unless_zero(group.lines().iter().map(|line| ns(line)).fold(0, u64::saturating_add))
        };
        vec![
            process(profile, group.first().pid),
            group.pid(profile, |line| line.pid),
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
    by_length(page, &sum(lines.iter().map(|line| &line.waits)))
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
