//! The table of disk requests.
//!
//! In: lines. Out: for each disk and process how many, and how long in the queue and in the device.

use std::collections::BTreeMap;
use std::io;

use super::lines::{DiskLine, disks};
use super::names;
use super::rows::{BlockRow, Kind};
use crate::profile::{Histogram, Pid, Profile};
use crate::render::fold::Folder;
use crate::render::group::{self, Group};
use crate::render::humane;
use crate::render::page::{Page, decisive, number, text};
use crate::render::scene::Scene;
use crate::render::table::{ROWS, ranked_table};

/// All of it.
pub fn sections(page: &mut Page<'_>, scene: &Scene<'_>, _: &mut Folder<'_>) -> io::Result<()> {
    let profile = scene.profile;
    page.heading("DISKS: requests by who submitted them; time in the queue, and in the device")?;
    let columns = [
        text("disk"),
        decisive("process"),
        number("pid"),
        number("count"),
        number("bytes"),
        number("queue mean"),
        number("p99"),
        number("device mean"),
        number("p99"),
        text("mostly"),
    ];
    let lines = disks(profile);
    let key = |line: &DiskLine| group::key(profile, line.key.pid, (line.key.disk, line.key.cgroup));
    let groups = group::groups(&lines, key, DiskLine::weight);
    let weights: Vec<_> = groups.iter().map(Group::weight).collect();
    let rows: Vec<_> = groups.iter().take(ROWS).map(|group| row(profile, group)).collect();
    ranked_table(page, &columns, &rows, &weights)
}

fn row(profile: &Profile, group: &Group<'_, DiskLine>) -> Vec<String> {
    let (mut all, first) = (BlockRow::default(), group.first());
    group.lines().iter().for_each(|line| all.merge(&line.all));
    let mut counts: BTreeMap<Kind, u64> = BTreeMap::new();
    for (kind, count) in group.lines().iter().flat_map(|line| &line.kinds) {
        let sum = counts.entry(*kind).or_default();
        *sum = sum.saturating_add(*count);
    }
    let pid = match first.key.pid {
        Pid(0) => String::new(),
        _ => group.pid(profile, |line| line.key.pid),
    };
    let [queue_mean, queue_p99] = times(&all.queue);
    let [device_mean, device_p99] = times(&all.device);
    let mostly = match all.failed {
        0 => names::most(&counts).to_owned(),
        failed => format!("{} FAILED", humane::count(failed)),
    };
    vec![
        names::disk(profile, first.key.disk),
        names::process(profile, &first.key),
        pid,
        humane::count(all.requests),
        humane::bytes(all.bytes),
        queue_mean,
        queue_p99,
        device_mean,
        device_p99,
        mostly,
    ]
}

/// Mean and 99th percentile; nothing where no time is known.
fn times(histogram: &Histogram) -> [String; 2] {
    match histogram.count() {
        0 => [String::new(), String::new()],
        count => [histogram.total_ns / count, histogram.percentile_ns(990)].map(humane::duration),
    }
}
