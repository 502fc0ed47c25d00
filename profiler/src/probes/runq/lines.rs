//! Waits for a CPU, a line for each process.
//!
//! In: rows of waits, turns of neighbours. Out: lines with why they waited and who ran meanwhile, heaviest first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::probes::waits::sums::{add, heaviest};
use crate::profile::waits::{NeighbourKey, NeighbourRow};
use crate::profile::{Histogram, Pid, Profile, Wait};
use crate::render::who::with_pid;

/// Waits of one process for a CPU.
pub struct Queued {
    /// Process.
    pub pid: Pid,
    /// The waits.
    pub waits: Histogram,
    /// Waits that were not throttling.
    pub ready: Histogram,
    /// After a wakeup, ns.
    pub woken_ns: u64,
    /// After a preemption, ns.
    pub preempted_ns: u64,
    /// By its CPU quota.
    pub throttled: Histogram,
    /// Who ran during the long ones, longest first.
    pub neighbours: Vec<(Pid, NeighbourRow)>,
}

pub fn queued(profile: &Profile) -> Vec<Queued> {
    let mut lines: BTreeMap<Pid, Queued> = BTreeMap::new();
    for (key, row) in profile.waits.rows.iter().filter(|(key, _)| key.wait.is_runnable()) {
        let line = lines.entry(key.pid).or_insert_with(|| Queued {
            pid: key.pid,
            waits: Histogram::default(),
            ready: Histogram::default(),
            woken_ns: 0,
            preempted_ns: 0,
            throttled: Histogram::default(),
            neighbours: neighbours(profile, key.pid),
        });
        line.waits.merge(row);
        if key.wait != Wait::Throttled {
            line.ready.merge(row);
        }
        match key.wait {
            Wait::Woken => line.woken_ns = line.woken_ns.saturating_add(row.total_ns),
            Wait::Preempted => line.preempted_ns = line.preempted_ns.saturating_add(row.total_ns),
            Wait::Throttled => line.throttled.merge(row),
            Wait::Sleep | Wait::Uninterruptible | Wait::Lock | Wait::Stopped => {}
        }
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    lines.sort_by_key(|line| Reverse(line.waits.total_ns));
    lines
}

/// Who ran while a process waited for that CPU, longest first.
pub fn neighbours(profile: &Profile, pid: Pid) -> Vec<(Pid, NeighbourRow)> {
    let key = |neighbour| NeighbourKey { pid, neighbour: Pid(neighbour) };
    let rows = profile.waits.neighbours.range(key(0)..=key(u32::MAX));
    let mut neighbours: Vec<_> = rows.map(|(key, row)| (key.neighbour, *row)).collect();
    neighbours.sort_by_key(|(_, row)| Reverse(row.ns));
    neighbours
}

/// Who ran, as tables and sentences name it.
pub fn neighbour(profile: &Profile, pid: Pid, waiter: Pid) -> String {
    match pid {
        Pid(0) => "(CPU idle)".to_owned(),
        pid if pid == waiter => "itself".to_owned(),
        pid => with_pid(profile, pid),
    }
}

/// The heaviest neighbours of some lines, in the form of [`heaviest`].
pub fn ran_meanwhile(profile: &Profile, lines: &[&Queued], whole: (u64, usize)) -> String {
    let mut sums: BTreeMap<Pid, u64> = BTreeMap::new();
    for (pid, row) in lines.iter().flat_map(|line| &line.neighbours) {
        add(&mut sums, *pid, row.ns);
    }
    let waiter = if let [line] = lines { line.pid } else { Pid(u32::MAX) };
    heaviest(sums, whole, |pid| neighbour(profile, pid, waiter))
}
