//! `probes.block` in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: rows of requests. Out: what serde writes, a row to a line.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::Serialize;

use super::call::{self, DiskPart};
use super::filled::Filled;
use super::names;
use super::picture::DRAWING;
use super::rows::{BlockKey, BlockRow, Disk, Kind};
use crate::profile::slowest::SlowestCall;
use crate::profile::{Histogram, Pid, Profile};
use crate::render::json_row::{Owner, nobody, owner};
use crate::render::scene::Scene;
use crate::render::sheet::{List, Sheet};

/// `probes.block`.
#[derive(Serialize)]
pub struct Json<'p> {
    unit: &'static str,
    rows: List<'p, Row<'p>>,
    filled: List<'p, FilledRow<'p>>,
}

/// Requests of one kind by one process on one disk.
#[derive(Serialize)]
pub struct Row<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    disk: String,
    device_number: String,
    cgroup: &'p str,
    of_target: bool,
    kind: Kind,
    count: u64,
    failed: u64,
    bytes: u64,
    device: Times,
    queue: Times,
}

/// Times of those requests for which they are known.
#[derive(Serialize)]
struct Times {
    count: u64,
    total_ns: u64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

impl Times {
    fn of(histogram: &Histogram) -> Self {
        Self {
            count: histogram.count(),
            total_ns: histogram.total_ns,
            p50_ns: histogram.percentile_ns(500),
            p99_ns: histogram.percentile_ns(990),
            max_ns: histogram.max_ns,
        }
    }
}

/// Who moved data on a disk while a process of the target had requests there.
#[derive(Serialize)]
pub struct FilledRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    disk: String,
    by_pid: Pid,
    by_comm: &'p str,
    by_container: &'p str,
    ns: u64,
    of_ns: u64,
}

/// What of a slow call was requests of its thread.
#[derive(Serialize)]
pub struct CallDisk {
    disk: Option<String>,
    unknown: Option<&'static str>,
    requests: u64,
    queue_ns: Option<u64>,
    device_ns: u64,
}

/// The probe's part of the document.
pub fn json<'a>(scene: &Scene<'a>, sheet: &Sheet<'a>) -> Json<'a> {
    let profile = scene.profile;
    let mut rows: Vec<_> = profile.block.rows.iter().collect();
    rows.sort_by_key(|(_, row)| (Reverse(row.total_ns()), Reverse(row.bytes)));
    let rows = rows.into_iter().map(|(key, all)| row(profile, key, all)).collect();
    Json {
        unit: DRAWING.unit,
        rows: sheet.list("probes.block.rows", rows),
        filled: sheet.list("probes.block.filled", filled(profile)),
    }
}

fn row<'p>(profile: &'p Profile, key: &BlockKey, row: &BlockRow) -> Row<'p> {
    let Disk(number) = key.disk;
    Row {
        owner: match key.pid {
            Pid(0) => nobody(names::NOBODY),
            pid => owner(profile, pid),
        },
        disk: names::disk(profile, key.disk),
        device_number: format!("{}:{}", number >> 20, number & 0xf_ffff),
        cgroup: profile.block.cgroups.get(&key.cgroup).map_or("", String::as_str),
        of_target: key.of_target,
        kind: key.kind,
        count: row.requests,
        failed: row.failed,
        bytes: row.bytes,
        device: Times::of(&row.device),
        queue: Times::of(&row.queue),
    }
}

fn filled(profile: &Profile) -> Vec<FilledRow<'_>> {
    let places: BTreeSet<_> = profile.block.filled.keys().map(|key| (key.pid, key.disk)).collect();
    let mut rows = Vec::new();
    for (pid, disk) in places {
        let found = Filled::of(profile, &[pid].into(), disk);
        rows.extend(found.by.into_iter().filter(|(_, ns)| *ns > 0).map(|(by, ns)| FilledRow {
            owner: owner(profile, pid),
            disk: names::disk(profile, disk),
            by_pid: by,
            by_comm: if by == Pid(0) { names::NOBODY } else { profile.processes.comm(by) },
            by_container: profile.processes.container(by),
            ns,
            of_ns: found.total_ns,
        }));
    }
    rows.sort_by_key(|row| Reverse(row.ns));
    rows
}

/// What is said of a slow call; nothing of one that has nothing to do with disks.
pub fn of_call(profile: &Profile, slow: &SlowestCall) -> Option<CallDisk> {
    let part = call::disk_part(profile, slow);
    let unknown = call::unknown(profile, slow);
    if part.is_none() && unknown.is_none() {
        return None;
    }
    let told = part.unwrap_or(DiskPart { queue_ns: None, ..DiskPart::default() });
    Some(CallDisk {
        disk: part.map(|part| names::disk(profile, part.disk)),
        unknown,
        requests: told.requests,
        queue_ns: told.queue_ns,
        device_ns: told.device_ns,
    })
}
