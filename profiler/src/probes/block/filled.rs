//! Who kept a disk busy while processes waited for it.
//!
//! In: their time, shared out by the bytes of each interval. Out: for some processes and a disk, who moved most, with the
//! share of the bytes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Disk, FilledKey};
use crate::profile::{Pid, Profile};

/// Time that some processes' requests took on a disk, and whose bytes it moved meanwhile.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Time of their requests, ns.
    pub total_ns: u64,
    /// Parts of it by who moved data, most first.
    pub by: Vec<(Pid, u64)>,
}

impl Filled {
    /// Of these processes on that disk.
    pub fn of(profile: &Profile, pids: &BTreeSet<Pid>, disk: Disk) -> Self {
        let block = &profile.block;
        let own = block.rows.iter().filter(|(key, _)| key.disk == disk && pids.contains(&key.pid));
        let total_ns = own.map(|(_, row)| row.total_ns()).fold(0, u64::saturating_add);
        let mut sums: BTreeMap<Pid, u64> = BTreeMap::new();
        for pid in pids {
            let first = FilledKey { pid: *pid, disk, by: Pid(0) };
            let last = FilledKey { by: Pid(u32::MAX), ..first };
            for (key, ns) in block.filled.range(first..=last) {
                let sum = sums.entry(key.by).or_default();
                *sum = sum.saturating_add(*ns);
            }
        }
        let mut by: Vec<_> = sums.into_iter().collect();
        by.sort_by_key(|(_, ns)| Reverse(*ns));
        Self { total_ns, by }
    }
}
