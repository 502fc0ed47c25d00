//! What it takes to drain a probe's rows.
//!
//! In: the row maps of a loaded object, an epoch that nobody writes any more. Out: [`Source`] and [`Drained`], which
//! `drain.rs` in each probe's folder implements, and the ways to empty a map.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, bail};
use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use aya::{Ebpf, Pod};
use profiler_common::syscall::{CachedRows, LatencyKey, LatencyRow};
use profiler_common::writer;

use super::batch;
use crate::profile::context::LockContext;
use crate::profile::{Ledger, Pid, StackId};

/// Stacks, and whether each was taken in an interrupt; only stacks for which that is known.
pub type Contexts = HashMap<StackId, LockContext>;

/// The row maps of a probe.
pub trait Source: Sized {
    /// What it gives.
    type Drained: Drained;

    /// Takes the maps out of the loaded object.
    ///
    /// # Errors
    /// An object without them.
    fn new(ebpf: &mut Ebpf) -> Result<Self>;

    /// Takes and deletes the rows of an epoch that nobody writes any more.
    ///
    /// # Errors
    /// A `bpf(2)` call that failed.
    fn take(&mut self, finished: u32) -> Result<Self::Drained>;
}

/// The rows of one epoch as the kernel wrote them.
pub trait Drained: Default {
    /// What they become.
    type Rows;

    /// Gives each user stack the id that `name` has for it.
    fn rename(&mut self, name: &mut dyn FnMut(&mut u64)) {
        let _ = name;
    }

    /// Adds them, CPUs summed; counts what makes no sense.
    fn add_to(&self, rows: &mut Self::Rows, ledger: &mut Ledger, contexts: &Contexts);

    /// Processes that they are of and that no event may have announced.
    fn unannounced(&self) -> Vec<Pid> {
        Vec::new()
    }

    /// Processes that they name beside those that they are of, with their names.
    fn others(&self) -> Vec<(Pid, String)> {
        Vec::new()
    }

    /// Keeps the rows back that cannot be told without a stack that is still to come, and gives back those of before;
    /// at the end nothing is `late` any more.
    fn hold_back(&mut self, late: &mut Self, contexts: &Contexts, ended: bool) {
        let _ = (late, contexts, ended);
    }
}

/// The source of a probe that has no maps of its own.
pub struct NoMaps;

/// What it gives.
#[derive(Default)]
pub struct NoneDrained;

impl Source for NoMaps {
    type Drained = NoneDrained;

    fn new(_: &mut Ebpf) -> Result<Self> {
        Ok(Self)
    }

    fn take(&mut self, _: u32) -> Result<NoneDrained> {
        Ok(NoneDrained)
    }
}

impl Drained for NoneDrained {
    type Rows = crate::profile::row_set::NoRows;

    fn add_to(&self, _: &mut Self::Rows, _: &mut Ledger, _: &Contexts) {}
}

/// A hash map out of the loaded object.
///
/// # Errors
/// An object without it.
pub fn hash_map(ebpf: &mut Ebpf, name: &str) -> Result<MapData> {
    match ebpf.take_map(name) {
        Some(Map::HashMap(map)) => Ok(map),
        _ => bail!("the object has no hash map {name}"),
    }
}

/// Another map out of the loaded object.
///
/// # Errors
/// An object without it.
pub fn map(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).with_context(|| format!("the object has no {name}"))
}

/// Takes the entries of an epoch, which `finished` knows by their keys, and deletes them.
///
/// # Errors
/// A `bpf(2)` call that failed.
pub fn take<K, V>(map: &MapData, name: &str, finished: impl Fn(&K) -> bool) -> Result<Vec<(K, V)>>
where
    K: Pod + Default + Eq + Hash,
    V: Pod + Default,
{
    let map = map.fd().as_fd();
    let mut entries: Vec<(K, V)> = batch::read_all(map).with_context(|| format!("reading {name}"))?;
    entries.retain(|(key, _)| finished(key));
    // A bucket read twice because it changed meanwhile must not count twice.
    let mut seen = HashSet::with_capacity(entries.len());
    entries.retain(|(key, _)| seen.insert(*key));
    let keys: Vec<K> = entries.iter().map(|(key, _)| *key).collect();
    batch::delete(map, &keys).with_context(|| format!("emptying {name}"))?;
    Ok(entries)
}

/// Adds the rows that the CPUs still had at hand, and clears them.
///
/// # Errors
/// A `bpf(2)` call that failed.
pub fn take_cached(
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
