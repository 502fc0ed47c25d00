//! Rows of disk requests.
//!
//! In: deltas of one interval. Out: totals; and who kept each disk busy while others waited for it, which can
//! be computed only interval by interval.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::profile::folding::{Keys, rekey};
use crate::profile::histogram::Histogram;
use crate::profile::process::{Pid, Tid};
use crate::profile::row_set::{ENTRY, RowSet};
use crate::profile::stack::StackId;

/// A whole disk: its major number shifted by 20, and its minor number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Disk(pub u32);

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It reads.
    Read,
    /// It writes.
    Write,
    /// It waits until the device has written what it holds.
    Flush,
    /// It tells the device what is not needed any more.
    Discard,
    /// Commands of drivers, and the like.
    Other,
}

impl Kind {
    /// All of them, by the number that the kernel side has for each.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Flush, Self::Discard, Self::Other];

    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Discard => "discard",
            Self::Other => "other",
        }
    }
}

/// Which requests a [`BlockRow`] sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockKey {
    /// Disk.
    pub disk: Disk,
    /// Process that submitted them; 0: nobody saw who.
    pub pid: Pid,
    /// The cgroup (v2) that the kernel bills them to, by its id; 0: not known.
    pub cgroup: u64,
    /// What they do.
    pub kind: Kind,
    /// Whether the submitter is of the target.
    pub of_target: bool,
}

/// Requests of one [`BlockKey`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRow {
    /// How many.
    pub requests: u64,
    /// Time in the device or, if the queue is not told apart, from the request's begin. Requests without
    /// times are not in it.
    pub device: Histogram,
    /// Time in the queue, of those where it is known.
    pub queue: Histogram,
    /// Bytes moved.
    pub bytes: u64,
    /// How many failed.
    pub failed: u64,
}

/// A long request of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongRequest {
    /// When it was made, ns since the start of the session.
    pub start_ns: u64,
    /// How long it was in the queue, ns; none: not known.
    pub queue_ns: Option<u64>,
    /// From its begin to its end, ns.
    pub total_ns: u64,
    /// Disk.
    pub disk: Disk,
    /// Process that submitted it.
    pub pid: Pid,
    /// Thread that did.
    pub tid: Tid,
    /// What it does.
    pub kind: Kind,
}

/// Who kept a disk busy while a process waited for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilledKey {
    /// Process whose requests were under way.
    pub pid: Pid,
    /// Disk.
    pub disk: Disk,
    /// Process that moved data there in the same intervals.
    pub by: Pid,
}

/// Disk requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockRows {
    /// By disk, submitter and kind.
    pub rows: BTreeMap<BlockKey, BlockRow>,
    /// Names of disks, raw.
    pub disks: BTreeMap<Disk, String>,
    /// Containers, or paths, of the cgroups in `rows`, raw.
    pub cgroups: BTreeMap<u64, String>,
    /// The longest requests of the target.
    pub long: Vec<LongRequest>,
    /// Time of the requests of each process of the target, ns, divided among the processes whose bytes the
    /// disk moved in the same interval.
    #[serde(skip)]
    pub filled: BTreeMap<FilledKey, u64>,
}

/// What the probe's rows are.
pub type Rows = BlockRows;

/// Long requests kept of a session.
const LONG: usize = 4_096;
/// Names kept of a session, of disks and of cgroups: a capture may be hostile.
const NAMES: usize = 4_096;
/// Processes named as those who kept a disk busy, in one interval.
const FILLERS: usize = 8;

impl BlockRow {
    /// Adds other requests.
    pub fn merge(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.device.merge(&other.device);
        self.queue.merge(&other.queue);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.failed = self.failed.saturating_add(other.failed);
    }

    /// Time in queue and device, ns.
    pub fn total_ns(&self) -> u64 {
        self.device.total_ns.saturating_add(self.queue.total_ns)
    }
}

impl BlockRows {
    /// Shares out the time of each process of the target by the bytes of one interval.
    fn note_filled(&mut self, interval: &BTreeMap<BlockKey, BlockRow>) {
        let mut moved: BTreeMap<Disk, BTreeMap<Pid, u64>> = BTreeMap::new();
        let mut waited: BTreeMap<(Pid, Disk), u64> = BTreeMap::new();
        for (key, row) in interval {
            let bytes = moved.entry(key.disk).or_default().entry(key.pid).or_default();
            *bytes = bytes.saturating_add(row.bytes);
            if key.of_target && key.pid != Pid(0) {
                let ns = waited.entry((key.pid, key.disk)).or_default();
                *ns = ns.saturating_add(row.total_ns());
            }
        }
        for ((pid, disk), ns) in waited {
            let Some(moved) = moved.get(&disk) else { continue };
            let all = moved.values().map(|bytes| u128::from(*bytes)).sum::<u128>().max(1);
            let mut most: Vec<_> = moved.iter().collect();
            most.sort_by_key(|(_, bytes)| Reverse(**bytes));
            for (by, bytes) in most.into_iter().take(FILLERS) {
                let part = u128::from(ns) * u128::from(*bytes) / all;
                let sum = self.filled.entry(FilledKey { pid, disk, by: *by }).or_default();
                *sum = sum.saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
            }
        }
    }
}

/// Adds names until there are [`NAMES`].
fn name<K: Ord + Copy>(known: &mut BTreeMap<K, String>, names: &BTreeMap<K, String>) {
    for (key, name) in names {
        if known.len() < NAMES || known.contains_key(key) {
            known.insert(*key, name.clone());
        }
    }
}

impl RowSet for BlockRows {
    fn add(&mut self, delta: &Self) {
        let Self { rows, disks, cgroups, long, filled: _ } = delta;
        for (key, row) in rows {
            self.rows.entry(*key).or_default().merge(row);
        }
        name(&mut self.disks, disks);
        name(&mut self.cgroups, cgroups);
        self.long.extend(long);
        if self.long.len() > LONG {
            self.long.sort_by_key(|request| Reverse(request.total_ns));
            self.long.truncate(LONG);
        }
        self.note_filled(rows);
    }

    fn weigh(&self) -> u64 {
        let Self { rows, disks, cgroups, long, filled } = self;
        let histograms = rows.values().map(|row| row.device.weigh() + row.queue.weigh() + ENTRY);
        let entries = disks.len() + cgroups.len() + long.len() + filled.len();
        histograms.fold(entries as u64 * ENTRY, u64::saturating_add)
    }

    fn stacks(&self, _: &mut dyn FnMut(StackId)) {}

    fn rekey(&mut self, keys: &dyn Keys) {
        let new = |key: &BlockKey| BlockKey { pid: keys.pid(key.pid), ..*key };
        rekey(&mut self.rows, new, BlockRow::merge);
        let new = |key: &FilledKey| FilledKey { pid: keys.pid(key.pid), by: keys.pid(key.by), ..*key };
        rekey(&mut self.filled, new, |sum, ns| *sum = sum.saturating_add(*ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: u32, of_target: bool, (ns, bytes): (u64, u64)) -> (BlockKey, BlockRow) {
        let mut row = BlockRow { requests: 1, bytes, ..BlockRow::default() };
        row.device.record(ns);
        (BlockKey { disk: Disk(1), pid: Pid(pid), cgroup: 0, kind: Kind::Write, of_target }, row)
    }

    fn interval(rows: impl IntoIterator<Item = (BlockKey, BlockRow)>) -> BlockRows {
        BlockRows { rows: rows.into_iter().collect(), ..BlockRows::default() }
    }

    #[test]
    fn who_filled_the_queue_is_who_moved_most_while_the_target_waited() {
        let mut rows = BlockRows::default();
        // The neighbour moves most in the second in which the target waits for long, and much more in one without it.
        rows.add(&interval([row(7, true, (1_000, 50)), row(9, false, (5, 50))]));
        rows.add(&interval([row(7, true, (100_000, 10)), row(9, false, (5, 90))]));
        rows.add(&interval([row(8, false, (5, 1_000_000))]));
        let found: Vec<_> = rows.filled.iter().map(|(key, ns)| (key.pid.0, key.by.0, *ns)).collect();
        assert_eq!(found, [(7, 7, 10_500), (7, 9, 90_500)]);
    }

    #[test]
    fn a_replay_of_ended_processes_sums_up_the_same() {
        struct Ended;
        impl Keys for Ended {
            fn pid(&self, pid: Pid) -> Pid {
                if pid.0 > 8 { Pid(100) } else { pid }
            }
            fn user(&self, _: Pid, stack: StackId) -> StackId {
                stack
            }
        }
        let mut rows = BlockRows::default();
        rows.add(&interval([row(7, true, (1_000, 10)), row(9, false, (5, 50)), row(10, false, (5, 40))]));
        let before: u64 = rows.filled.values().sum();
        rows.rekey(&Ended);
        assert_eq!(rows.filled.values().sum::<u64>(), before);
        let others: Vec<_> = rows.rows.iter().filter(|(key, _)| key.pid == Pid(100)).collect();
        assert_eq!((others.len(), others[0].1.requests, others[0].1.bytes), (1, 2, 90));
    }

    #[test]
    fn names_of_a_hostile_capture_are_bounded() {
        let mut rows = BlockRows::default();
        let names = (0..10_000u64).map(|id| (id, "x".to_owned())).collect();
        rows.add(&BlockRows { cgroups: names, ..BlockRows::default() });
        assert_eq!(rows.cgroups.len(), NAMES);
        rows.add(&BlockRows { cgroups: [(5, "y".to_owned())].into(), ..BlockRows::default() });
        assert_eq!(rows.cgroups[&5], "y", "what is known may get another name");
    }
}
