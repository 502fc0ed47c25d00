//! Draining the rows of a finished epoch.
//!
//! In: the row maps. Out: rows by process, summed over CPUs; the drained entries are deleted.
//! The epoch is flipped first and every program that may still write the old one is waited for,
//! so nothing is read while it is written and nothing is lost between read and delete.

use std::collections::HashMap;
use std::hash::Hash;
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData, PerCpuArray, PerCpuValues};
use aya::{Ebpf, Pod};
use profiler_common::lock::{LockKey, LockRow, OwnerKey, OwnerRow};
use profiler_common::lsm::{LsmKey, LsmStackKey, SiteRows};
use profiler_common::part::{PartKey, PartRow};
use profiler_common::sample::SampleKey;
use profiler_common::slowest::{KEPT, KINDS, Slowest, SlowestCall};
use profiler_common::syscall::{CachedRows, ErrorKey, LatencyKey, LatencyRow, SlowKey, SlowRow};
use profiler_common::wait::{NeighbourKey, NeighbourRow, WaitStackKey, WaitStackRow};
use profiler_common::{Control, epoch_of, writer};

use super::batch;

/// One epoch's rows as the kernel wrote them.
#[derive(Default)]
pub struct Drained {
    /// Latency octaves.
    pub latency: Vec<(LatencyKey, LatencyRow)>,
    /// Errno counts.
    pub errors: Vec<(ErrorKey, u64)>,
    /// Slow calls.
    pub slow: Vec<(SlowKey, SlowRow)>,
    /// Parts of slow calls.
    pub parts: Vec<(PartKey, PartRow)>,
    /// The slowest calls of each CPU.
    pub slowest: Vec<SlowestCall>,
    /// Lock waits.
    pub locks: Vec<(LockKey, LockRow)>,
    /// Time waited by holder.
    pub owners: Vec<(OwnerKey, OwnerRow)>,
    /// Time in the security layer.
    pub lsm: Vec<(LsmKey, LatencyRow)>,
    /// Stacks of it.
    pub lsm_stacks: Vec<(LsmStackKey, u64)>,
    /// Waits off the CPU, with the CPU they ended on.
    pub waits: Vec<(LatencyKey, LatencyRow)>,
    /// Stacks of long ones.
    pub wait_stacks: Vec<(WaitStackKey, WaitStackRow)>,
    /// Who ran while others waited for a CPU.
    pub neighbours: Vec<(NeighbourKey, NeighbourRow)>,
    /// CPU samples.
    pub samples: Vec<(SampleKey, u64)>,
}

/// The row maps, and the epoch they are in.
pub struct Rows {
    maps: HashMap<&'static str, MapData>,
    cache: PerCpuArray<MapData, CachedRows>,
    wait_cache: PerCpuArray<MapData, CachedRows>,
    slowest: PerCpuArray<MapData, Slowest>,
    lsm_cache: PerCpuArray<MapData, SiteRows>,
    control: Array<MapData, Control>,
    epoch: u32,
}

/// An epoch that is over.
pub struct Finished(u32);

const ROW_MAPS: [&str; 12] = [
    "LATENCY",
    "ERRORS",
    "SLOW",
    "PARTS",
    "LOCKS",
    "OWNERS",
    "LSM_ROWS",
    "LSM_STACKS",
    "WAITS",
    "WAIT_STACKS",
    "NEIGHBOURS",
    "SAMPLES",
];

impl Rows {
    /// Takes the row maps out of the loaded object.
    ///
    /// # Errors
    /// An object without them.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        let mut maps = HashMap::new();
        for name in ROW_MAPS {
            match ebpf.take_map(name) {
                Some(Map::HashMap(map)) => maps.insert(name, map),
                _ => anyhow::bail!("the object has no hash map {name}"),
            };
        }
        let mut take = |name: &str| ebpf.take_map(name).with_context(|| format!("the object has no {name}"));
        Ok(Self {
            maps,
            cache: PerCpuArray::try_from(take("CACHE")?)?,
            wait_cache: PerCpuArray::try_from(take("WAIT_CACHE")?)?,
            lsm_cache: PerCpuArray::try_from(take("LSM_CACHE")?)?,
            slowest: PerCpuArray::try_from(take("SLOWEST")?)?,
            control: Array::try_from(take(".bss")?)?,
            epoch: 0,
        })
    }

    /// Lets the programs keep calls in the CPUs' slots: only once `sched_switch` is attached, which
    /// moves them to the threads' own state.
    ///
    /// # Errors
    /// A `bpf(2)` call that failed.
    pub fn use_slots(&mut self) -> Result<()> {
        let mut control = self.control.get(&0, 0).context("reading the control record")?;
        control.slots = 1;
        self.control.set(0, control, 0).context("writing the control record")
    }

    /// Ends the epoch: from here on programs write the other one. Before [`Self::take_epoch`],
    /// [`wait_for_programs`] must have returned.
    ///
    /// # Errors
    /// A `bpf(2)` call that failed.
    pub fn flip(&mut self) -> Result<Finished> {
        let mut control = self.control.get(&0, 0).context("reading the epoch")?;
        let finished = Finished(self.epoch);
        self.epoch ^= 1;
        control.epoch = self.epoch;
        self.control.set(0, control, 0).context("flipping the epoch")?;
        Ok(finished)
    }

    /// Takes the rows of an epoch that nobody writes any more.
    ///
    /// # Errors
    /// A `bpf(2)` call that failed; rows already read are in the error's place lost, so it ends the
    /// recording.
    pub fn take_epoch(&mut self, Finished(finished): Finished) -> Result<Drained> {
        let mut latency = self.take("LATENCY", |key: &LatencyKey| epoch_of(key.writer) == finished)?;
        take_cached(&mut self.cache, finished, &mut latency)?;
        let mut waits = self.take("WAITS", |key: &LatencyKey| epoch_of(key.writer) == finished)?;
        take_cached(&mut self.wait_cache, finished, &mut waits)?;
        let mut lsm = self.take("LSM_ROWS", |key: &LsmKey| epoch_of(key.writer) == finished)?;
        self.take_cached_lsm(finished, &mut lsm)?;
        Ok(Drained {
            latency,
            errors: self.take("ERRORS", |key: &ErrorKey| epoch_of(key.writer) == finished)?,
            slow: self.take("SLOW", |key: &SlowKey| epoch_of(key.writer) == finished)?,
            parts: self.take("PARTS", |key: &PartKey| epoch_of(key.writer) == finished)?,
            slowest: self.take_slowest(finished)?,
            locks: self.take("LOCKS", |key: &LockKey| epoch_of(key.writer) == finished)?,
            owners: self.take("OWNERS", |key: &OwnerKey| epoch_of(key.writer) == finished)?,
            lsm,
            lsm_stacks: self.take("LSM_STACKS", |key: &LsmStackKey| epoch_of(key.writer) == finished)?,
            waits,
            wait_stacks: self.take("WAIT_STACKS", |key: &WaitStackKey| epoch_of(key.writer) == finished)?,
            neighbours: self.take("NEIGHBOURS", |key: &NeighbourKey| epoch_of(key.writer) == finished)?,
            samples: self.take("SAMPLES", |key: &SampleKey| epoch_of(key.writer) == finished)?,
        })
    }

    fn take_slowest(&mut self, finished: u32) -> Result<Vec<SlowestCall>> {
        let mut calls = Vec::new();
        for kind in 0..KINDS as u32 {
            let at = finished + 2 * kind;
            let kept = self.slowest.get(&at, 0).context("reading the slowest calls")?;
            calls.extend(kept.iter().flatten().filter(|call| call.wall_ns > 0));
            let empty = PerCpuValues::try_from(vec![[SlowestCall::default(); KEPT]; kept.len()])?;
            self.slowest.set(at, empty, 0).context("clearing the slowest calls")?;
        }
        Ok(calls)
    }

    /// The same of the `lsm` probe, of every site.
    fn take_cached_lsm(&mut self, finished: u32, rows: &mut Vec<(LsmKey, LatencyRow)>) -> Result<()> {
        for site in 0..self.lsm_cache.len() / 2 {
            let at = 2 * site + finished;
            let cached = self.lsm_cache.get(&at, 0).context("reading the LSM rows at hand")?;
            let found = cached.iter().flat_map(|cpu| cpu.rows.iter()).filter(|cached| cached.tag != 0);
            let before = rows.len();
            rows.extend(found.map(|cached| (LsmKey::of(cached.tag, site as u16, 0), cached.row)));
            if rows.len() > before {
                let empty = PerCpuValues::try_from(vec![SiteRows::default(); cached.len()])?;
                self.lsm_cache.set(at, empty, 0).context("clearing the LSM rows at hand")?;
            }
        }
        Ok(())
    }

    fn take<K, V>(&self, name: &str, finished: impl Fn(&K) -> bool) -> Result<Vec<(K, V)>>
    where
        K: Pod + Default + Eq + Hash,
        V: Pod + Default,
    {
        let map = self.maps.get(name).context("map")?.fd().as_fd();
        let mut entries: Vec<(K, V)> = batch::read_all(map).with_context(|| format!("reading {name}"))?;
        entries.retain(|(key, _)| finished(key));
        // A bucket read twice because it changed meanwhile must not count twice.
        let mut seen = std::collections::HashSet::with_capacity(entries.len());
        entries.retain(|(key, _)| seen.insert(*key));
        let keys: Vec<K> = entries.iter().map(|(key, _)| *key).collect();
        batch::delete(map, &keys).with_context(|| format!("emptying {name}"))?;
        Ok(entries)
    }
}

/// Adds the rows that the CPUs still had at hand, and clears them.
fn take_cached(
    cache: &mut PerCpuArray<MapData, CachedRows>,
    finished: u32,
    rows: &mut Vec<(LatencyKey, LatencyRow)>,
) -> Result<()> {
    let cached = cache.get(&finished, 0).context("reading the rows at hand")?;
    let before = rows.len();
    for (cpu, cached) in cached.iter().enumerate() {
        let found = cached.rows.iter().filter(|cached| cached.tag != 0);
        let key = |tag| LatencyKey::of(tag, writer(cpu as u32, finished));
        rows.extend(found.map(|cached| (key(cached.tag), cached.row)));
    }
    if rows.len() == before {
        return Ok(());
    }
    let empty = PerCpuValues::try_from(vec![CachedRows::default(); cached.len()])?;
    cache.set(finished, empty, 0).context("clearing the rows at hand")
}

/// Waits until every program that began before this call has ended: programs run inside RCU read
/// sections, and `MEMBARRIER_CMD_GLOBAL` is an RCU grace period, which takes tens of milliseconds.
pub fn wait_for_programs() {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result != 0 {
        // Kernels with nohz_full refuse it; programs run for microseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
