//! Rows of disk requests, from the kernel's to the profile's.
//!
//! In: the row maps; sysfs for the names of disks. Out: one epoch's rows, CPUs summed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use profiler_common::block::{self as contract, OF_TARGET, UNTOLD};
use profiler_common::epoch_of;

use super::rows::{BlockKey, BlockRow, BlockRows, Disk, Kind, LongRequest};
use crate::collect::source::{Contexts, Drained, Source, hash_map, map, take};
use crate::machine;
use crate::profile::ledger::Population;
use crate::profile::{Class, Ledger, Pid, Tid};

/// Rows of one interval; what is more is summed up by disk.
const ROWS: usize = 2_048;
/// Disks that are asked for their name in one interval, at most.
const DISKS: usize = 1_024;

/// The row maps.
pub struct Maps {
    rows: MapData,
    long: PerCpuArray<MapData, contract::LongRequests>,
    names: BTreeMap<Disk, String>,
}

/// One epoch's rows.
#[derive(Default)]
pub struct Requests {
    rows: Vec<(contract::BlockKey, contract::BlockRow)>,
    long: Vec<contract::LongRequest>,
    /// Names that are new, or not what they were.
    names: BTreeMap<Disk, String>,
}

impl Source for Maps {
    type Drained = Requests;

    fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            rows: hash_map(ebpf, "BLOCK_ROWS")?,
            long: PerCpuArray::try_from(map(ebpf, "LONG_REQUESTS")?)?,
            names: BTreeMap::new(),
        })
    }

    fn take(&mut self, finished: u32) -> Result<Requests> {
        let rows =
            take(&self.rows, "BLOCK_ROWS", |key: &contract::BlockKey| epoch_of(key.writer) == finished)?;
        let names = self.new_names(rows.iter().map(|(key, _)| Disk(key.device)).collect());
        Ok(Requests { rows, long: self.take_long(finished)?, names })
    }
}

impl Maps {
    /// Asks for the names of disks now: later they may be gone, or others.
    fn new_names(&mut self, disks: BTreeSet<Disk>) -> BTreeMap<Disk, String> {
        let mut new = BTreeMap::new();
        for disk in disks.into_iter().take(DISKS) {
            let Some(name) = name(disk) else { continue };
            if self.names.get(&disk) != Some(&name) {
                self.names.insert(disk, name.clone());
                new.insert(disk, name);
            }
        }
        new
    }

    fn take_long(&mut self, finished: u32) -> Result<Vec<contract::LongRequest>> {
        let kept = self.long.get(&finished, 0).context("reading long requests")?;
        let found = kept.iter().flatten().filter(|request| request.end_ns != 0);
        let found: Vec<_> = found.copied().collect();
        if !found.is_empty() {
            let empty = vec![[contract::LongRequest::default(); contract::KEPT]; kept.len()];
            self.long.set(finished, PerCpuValues::try_from(empty)?, 0).context("clearing long requests")?;
        }
        Ok(found)
    }
}

/// What the kernel calls a disk; none of one that is gone.
fn name(Disk(number): Disk) -> Option<String> {
    let (major, minor) = (number >> 20, number & 0xf_ffff);
    let text = machine::read(&format!("/sys/dev/block/{major}:{minor}/uevent"), 4_096).ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
    Some(machine::line(name, 64)).filter(|name| !name.is_empty())
}

impl Drained for Requests {
    type Rows = BlockRows;

    fn add_to(&self, rows: &mut BlockRows, ledger: &mut Ledger, _: &Contexts) {
        for (from, row) in &self.rows {
            let Some(kind) = Kind::ALL.get(usize::from(from.kind)) else {
                ledger.count(Class::Implausible, 1);
                continue;
            };
            let key = BlockKey {
                disk: Disk(from.device),
                pid: Pid(from.tgid),
                cgroup: from.cgroup,
                kind: *kind,
                of_target: from.flags & OF_TARGET != 0,
            };
            let added = add(rows.rows.entry(key).or_default(), from, row);
            ledger.grow(Population::Requests, added);
        }
        ledger.count(Class::BlockRowFolded, fold(&mut rows.rows));
        rows.disks.extend(self.names.iter().map(|(disk, name)| (*disk, name.clone())));
    }

    /// Submitters: each was announced by its first request, unless there was no room.
    fn unannounced(&self) -> Vec<Pid> {
        let all: BTreeSet<u32> =
            self.rows.iter().map(|(key, _)| key.tgid).filter(|tgid| *tgid != 0).collect();
        all.into_iter().map(Pid).collect()
    }
}

impl Requests {
    /// The long requests of the interval; the session began at `session_ns`, monotonic.
    pub fn long(&self, session_ns: u64) -> Vec<LongRequest> {
        let request = |request: &contract::LongRequest| {
            let known = request.issue_ns != 0;
            Some(LongRequest {
                start_ns: request.start_ns.saturating_sub(session_ns),
                queue_ns: known.then(|| request.issue_ns.saturating_sub(request.start_ns)),
                total_ns: request.total_ns(),
                disk: Disk(request.device),
                pid: Pid(request.tgid),
                tid: Tid(request.tid),
                kind: *Kind::ALL.get(request.kind as usize)?,
            })
        };
        self.long.iter().filter_map(request).collect()
    }
}

/// Adds requests of one pair of octaves; how many there are.
fn add(total: &mut BlockRow, key: &contract::BlockKey, row: &contract::BlockRow) -> u64 {
    let requests = row.device_slots.iter().map(|count| u64::from(*count)).sum();
    total.requests += requests;
    total.bytes += row.bytes;
    total.failed += row.failed;
    if key.device_octave != UNTOLD {
        total.device.add_octave(key.device_octave, &row.device_slots, row.device_ns, row.device_max_ns);
    }
    if key.queue_octave != UNTOLD {
        total.queue.add_octave(key.queue_octave, &row.queue_slots, row.queue_ns, row.queue_max_ns);
    }
    requests
}

/// Sums up the lightest rows of others if there are too many: by disk and kind, as nobody's. How many they were.
fn fold(rows: &mut BTreeMap<BlockKey, BlockRow>) -> u64 {
    if rows.len() <= ROWS {
        return 0;
    }
    let others = rows.iter().filter(|(key, _)| !key.of_target && key.pid != Pid(0));
    let mut others: Vec<_> = others.map(|(key, row)| (Reverse((row.total_ns(), row.bytes)), *key)).collect();
    others.sort();
    let room = ROWS.saturating_sub(rows.len() - others.len());
    let mut folded = 0;
    for (_, key) in others.into_iter().skip(room) {
        if let Some(row) = rows.remove(&key) {
            rows.entry(BlockKey { pid: Pid(0), cgroup: 0, ..key }).or_default().merge(&row);
            folded += 1;
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use profiler_common::histogram::{SLOTS, octave, slot};
    use profiler_common::writer;

    use super::*;

    fn one(
        tgid: u32,
        cpu: u32,
        (device_ns, queue_ns): (u64, Option<u64>),
    ) -> (contract::BlockKey, contract::BlockRow) {
        let key = contract::BlockKey {
            device: 254 << 20,
            tgid,
            writer: writer(cpu, 1),
            kind: contract::kind::WRITE,
            device_octave: octave(device_ns),
            queue_octave: queue_ns.map_or(UNTOLD, octave),
            ..contract::BlockKey::default()
        };
        let mut row =
            contract::BlockRow { device_ns, device_max_ns: device_ns, bytes: 4096, ..Default::default() };
        row.device_slots[slot(device_ns)] = 1;
        let queue_ns = queue_ns.unwrap_or(0);
        (row.queue_ns, row.queue_max_ns) = (queue_ns, queue_ns);
        row.queue_slots[slot(queue_ns)] = 1;
        (key, row)
    }

    fn added(requests: &Requests) -> (BlockRows, Ledger) {
        let (mut rows, mut ledger) = (BlockRows::default(), Ledger::default());
        requests.add_to(&mut rows, &mut ledger, &Contexts::new());
        (rows, ledger)
    }

    #[test]
    fn rows_of_two_cpus_and_of_all_octaves_become_one() {
        let drained = vec![one(7, 0, (100, Some(9))), one(7, 1, (100, Some(9))), one(7, 1, (90_000, None))];
        let (rows, ledger) = added(&Requests { rows: drained, ..Requests::default() });
        let row = rows.rows.values().next().unwrap();
        assert_eq!((rows.rows.len(), row.requests, row.bytes), (1, 3, 3 * 4096));
        assert_eq!((row.device.count(), row.device.total_ns, row.device.max_ns), (3, 90_200, 90_000));
        assert_eq!((row.queue.count(), row.queue.total_ns), (2, 18), "what is not told is no 0");
        assert_eq!(ledger.population(Population::Requests), 3);
    }

    #[test]
    fn a_part_of_a_request_is_bytes_and_no_request() {
        let part = contract::BlockRow { bytes: 512, ..Default::default() };
        let key = contract::BlockKey { device_octave: UNTOLD, queue_octave: UNTOLD, ..Default::default() };
        let (rows, ledger) = added(&Requests { rows: vec![(key, part)], ..Requests::default() });
        let row = rows.rows.values().next().unwrap();
        assert_eq!((row.requests, row.bytes, row.device.count()), (0, 512, 0));
        assert_eq!(ledger.population(Population::Requests), 0);
    }

    #[test]
    fn a_kind_that_is_none_is_counted_and_no_row() {
        let key = contract::BlockKey { kind: 9, ..Default::default() };
        let row = contract::BlockRow { device_slots: [1; SLOTS], ..Default::default() };
        let (rows, ledger) = added(&Requests { rows: vec![(key, row)], ..Requests::default() });
        assert!(rows.rows.is_empty());
        assert_eq!(ledger.get(Class::Implausible), 1);
    }

    #[test]
    fn too_many_others_are_summed_up_the_lightest_first_and_the_target_stays() {
        let mut drained: Vec<_> =
            (1..=ROWS as u32 + 100).map(|pid| one(pid, 0, (1_000 + u64::from(pid), Some(1)))).collect();
        drained[0].0.flags = OF_TARGET;
        let (rows, ledger) = added(&Requests { rows: drained, ..Requests::default() });
        let all: u64 = rows.rows.values().map(|row| row.requests).sum();
        assert_eq!(all, ROWS as u64 + 100, "none is lost");
        assert_eq!(ledger.get(Class::BlockRowFolded), 100);
        let pids: BTreeSet<u32> = rows.rows.keys().map(|key| key.pid.0).collect();
        assert!(pids.contains(&1) && !pids.contains(&2) && pids.contains(&(ROWS as u32 + 100)));
    }
}
