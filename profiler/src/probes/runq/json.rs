//! `probes.runq` in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: rows of waits, ranked lines. Out: what serde writes, heaviest first.

use std::cmp::Reverse;

use serde::Serialize;

use super::lines::Queued;
use super::picture::DRAWING;
use crate::probes::waits::json::{Row, rows};
use crate::profile::waits;
use crate::profile::waits::{NeighbourKey, QueueKey};
use crate::profile::{Histogram, Pid, Profile, Wait};
use crate::render::json_row::{Events, Owner, nobody, owner};
use crate::render::scene::Scene;
use crate::render::sheet::{List, Sheet};

/// `probes.runq`.
#[derive(Serialize)]
pub struct Json<'p> {
    unit: &'static str,
    rows: List<'p, Row<'p>>,
    processes: List<'p, QueuedRow<'p>>,
    cpus: List<'p, CpuRow<'p>>,
    neighbours: List<'p, NeighbourRow<'p>>,
}

/// Waits of one process for a CPU.
#[derive(Serialize)]
struct QueuedRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    #[serde(flatten)]
    events: Events,
    woken_ns: u64,
    preempted_ns: u64,
    throttled_ns: u64,
}

/// Waits of one process for the CPU that it got.
#[derive(Serialize)]
struct CpuRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    cpu: u32,
    #[serde(flatten)]
    events: Events,
    buckets: Vec<(u64, u64, u64)>,
}

/// Time that one ran while another waited for that CPU.
#[derive(Serialize)]
struct NeighbourRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    neighbour: Owner<'p>,
    cpu_idle: bool,
    turns: u64,
    total_ns: u64,
}

/// `probes.runq` of a profile.
pub fn json<'a>(scene: &Scene<'a>, sheet: &Sheet<'a>) -> Json<'a> {
    let profile = scene.profile;
    Json {
        unit: DRAWING.unit,
        rows: sheet.list("probes.runq.rows", rows(profile, Wait::is_runnable)),
        processes: sheet.list(
            "probes.runq.processes",
            scene.ranked.queued.iter().map(|line| queued(profile, line)).collect(),
        ),
        cpus: sheet.list("probes.runq.cpus", cpus(profile)),
        neighbours: sheet.list("probes.runq.neighbours", neighbours(profile)),
    }
}

fn queued<'p>(profile: &'p Profile, line: &Queued) -> QueuedRow<'p> {
    QueuedRow {
        owner: owner(profile, line.pid),
        events: Events::of(&line.waits),
        woken_ns: line.woken_ns,
        preempted_ns: line.preempted_ns,
        throttled_ns: line.throttled.total_ns,
    }
}

fn cpus(profile: &Profile) -> Vec<CpuRow<'_>> {
    let mut rows: Vec<(&QueueKey, &Histogram)> = profile.waits.queues.iter().collect();
    rows.sort_by_key(|(_, row)| Reverse(row.total_ns));
    let row = |(key, row): (&QueueKey, &Histogram)| CpuRow {
        owner: owner(profile, key.pid),
        cpu: key.cpu,
        events: Events::of(row),
        buckets: row.buckets().collect(),
    };
    rows.into_iter().map(row).collect()
}

fn neighbours(profile: &Profile) -> Vec<NeighbourRow<'_>> {
    let mut rows: Vec<_> = profile.waits.neighbours.iter().collect();
    rows.sort_by_key(|(_, row)| Reverse(row.ns));
    let row = |(key, row): (&NeighbourKey, &waits::NeighbourRow)| NeighbourRow {
        owner: owner(profile, key.pid),
        neighbour: match key.neighbour {
            Pid(0) => nobody(""),
            pid => owner(profile, pid),
        },
        cpu_idle: key.neighbour == Pid(0),
        turns: row.turns,
        total_ns: row.ns,
    };
    rows.into_iter().map(row).collect()
}
