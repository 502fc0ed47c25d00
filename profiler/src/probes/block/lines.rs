//! Disk requests, a line for each (disk, process, cgroup).
//!
//! In: rows of requests. Out: lines, those with most time in queue and device first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::rows::{BlockKey, BlockRow, Disk, Kind};
use crate::profile::{Pid, Profile};

/// Requests of one (disk, process, cgroup).
pub struct DiskLine {
    /// Disk, process, cgroup; the kind is that of its first row.
    pub key: BlockKey,
    /// All of its requests.
    pub all: BlockRow,
    /// How many of each kind.
    pub kinds: BTreeMap<Kind, u64>,
}

impl DiskLine {
    /// What ranks it: time in queue and device, ns.
    pub fn weight(&self) -> u64 {
        self.all.total_ns()
    }
}

/// All lines, the heaviest first.
pub fn disks(profile: &Profile) -> Vec<DiskLine> {
    let mut lines: BTreeMap<(Disk, Pid, u64), DiskLine> = BTreeMap::new();
    for (key, row) in &profile.block.rows {
        let line = lines.entry((key.disk, key.pid, key.cgroup)).or_insert_with(|| DiskLine {
            key: *key,
            all: BlockRow::default(),
            kinds: BTreeMap::new(),
        });
        line.all.merge(row);
        line.key.of_target |= key.of_target;
        let kind = line.kinds.entry(key.kind).or_default();
        *kind = kind.saturating_add(row.requests);
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    lines.sort_by_key(|line| (Reverse(line.weight()), Reverse(line.all.bytes)));
    lines
}
