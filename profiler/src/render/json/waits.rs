//! Waits off the CPU in `summary.json`.
//!
//! In: rows of waits, ranked lines. Out: `probes.offcpu`, `probes.runq` and `outside_calls`, heaviest first;
//! `docs/summary.md` is the schema.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::row::{Events, Owner, owner};
use crate::profile::waits::{self, NeighbourKey, QueueKey, WaitKey};
use crate::profile::{Histogram, Pid, Profile, Wait};
use crate::render::fold::Folder;
use crate::render::waits::merged::{self, Merged};
use crate::render::waits::{Classes, Ender, Outside, Places, Queued, Waits};
use crate::render::{Probe, probe, syscalls};

/// `probes.offcpu`.
#[derive(Serialize)]
pub struct Offcpu<'p> {
    unit: &'static str,
    stacks_from_ns: u64,
    rows: Vec<Row<'p>>,
    stacks: Stacks<'p>,
}

/// Waits of one kind in one call of one process.
#[derive(Serialize)]
struct Row<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    syscall: Option<Cow<'static, str>>,
    nr: Option<u32>,
    class: &'static str,
    wait: Wait,
    #[serde(flatten)]
    events: Events,
}

/// Long waits by stacks: made when they are written, there may be many.
struct Stacks<'p>(&'p Profile);

#[derive(Serialize)]
struct Stack<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    syscall: Option<Cow<'static, str>>,
    class: &'static str,
    wait: Wait,
    count: u64,
    total_ns: u64,
    max_ns: u64,
    on: &'p str,
    stack: Vec<String>,
    waker: Option<Ended<'p>>,
}

/// Who ended a wait.
#[derive(Serialize)]
struct Ended<'p> {
    interrupt: bool,
    #[serde(flatten)]
    owner: Owner<'p>,
    stack: Vec<String>,
}

impl Serialize for Stacks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let profile = self.0;
        let (mut classes, mut places) = (Classes::new(profile), Places::new(profile));
        let rows = merged::rows(profile, &mut Folder::new(profile), |_| true);
        serializer.collect_seq(rows.into_iter().map(|row| stack(profile, row, &mut classes, &mut places)))
    }
}

fn stack<'p>(
    profile: &'p Profile,
    merged: Merged,
    classes: &mut Classes<'p>,
    places: &mut Places<'p>,
) -> Stack<'p> {
    let Merged { key, ender, stack, waker, row } = merged;
    let owner_of = match ender {
        Ender::Unseen => None,
        Ender::Interrupt => Some(Owner { pid: Pid(0), comm: "interrupt", container: "" }),
        Ender::Process(pid) => Some(owner(profile, pid)),
    };
    Stack {
        owner: owner(profile, key.row.pid),
        syscall: key.row.nr.map(syscalls::name),
        class: classes.of_stack(&key).name(),
        wait: key.row.wait,
        count: row.waits,
        total_ns: row.total_ns,
        max_ns: row.max_ns,
        on: places.of(&key),
        stack,
        waker: owner_of.map(|owner| Ended { interrupt: ender == Ender::Interrupt, owner, stack: waker }),
    }
}

/// `probes.offcpu` of a profile.
pub fn offcpu(profile: &Profile) -> Offcpu<'_> {
    Offcpu {
        unit: Probe::Offcpu.unit(),
        stacks_from_ns: probe::offcpu::stacks_from_ns(&profile.header),
        rows: rows(profile, |wait| !wait.is_runnable()),
        stacks: Stacks(profile),
    }
}

fn rows(profile: &Profile, of: impl Fn(Wait) -> bool) -> Vec<Row<'_>> {
    let mut classes = Classes::new(profile);
    let mut rows: Vec<(&WaitKey, &Histogram)> =
        profile.waits.rows.iter().filter(|(key, _)| of(key.wait)).collect();
    rows.sort_by_key(|(_, row)| Reverse(row.total_ns));
    let row = |(key, row): (&WaitKey, &Histogram)| Row {
        owner: owner(profile, key.pid),
        syscall: key.nr.map(syscalls::name),
        nr: key.nr,
        class: classes.of_row(key).name(),
        wait: key.wait,
        events: Events::of(row),
    };
    rows.into_iter().map(row).collect()
}

/// `probes.runq`.
#[derive(Serialize)]
pub struct Runq<'p> {
    unit: &'static str,
    rows: Vec<Row<'p>>,
    processes: Vec<QueuedRow<'p>>,
    cpus: Vec<CpuRow<'p>>,
    neighbours: Vec<NeighbourRow<'p>>,
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
pub fn runq<'p>(profile: &'p Profile, waits: &Waits<'_>) -> Runq<'p> {
    Runq {
        unit: Probe::Runq.unit(),
        rows: rows(profile, Wait::is_runnable),
        processes: waits.queued.iter().map(|line| queued(profile, line)).collect(),
        cpus: cpus(profile),
        neighbours: neighbours(profile),
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
            Pid(0) => Owner { pid: Pid(0), comm: "", container: "" },
            pid => owner(profile, pid),
        },
        cpu_idle: key.neighbour == Pid(0),
        turns: row.turns,
        total_ns: row.ns,
    };
    rows.into_iter().map(row).collect()
}

/// Stalls of one process outside of calls.
#[derive(Serialize)]
pub struct OutsideRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    #[serde(flatten)]
    events: Events,
    by: BTreeMap<Wait, u64>,
    blocked_on: BTreeMap<&'p str, u64>,
}

/// `outside_calls` of a profile.
pub fn outside<'p>(profile: &'p Profile, waits: &'p Waits<'_>) -> Vec<OutsideRow<'p>> {
    let row = |line: &'p Outside<'_>| OutsideRow {
        owner: owner(profile, line.pid),
        events: Events::of(&line.stalls),
        by: line.by.clone(),
        blocked_on: line.on.iter().filter(|(_, ns)| **ns > 0).map(|(on, ns)| (*on, *ns)).collect(),
    };
    waits.outside.iter().map(row).collect()
}
