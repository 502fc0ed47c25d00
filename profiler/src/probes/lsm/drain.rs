//! Rows of the security layer, from the kernel's to the profile's.
//!
//! In: the row maps. Out: one epoch's rows, CPUs summed.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use profiler_common::lsm::{self as contract, SiteRows};
use profiler_common::syscall::LatencyRow;
use profiler_common::{abi, epoch_of};

use super::rows::{LsmKey, LsmRows, LsmStackKey};
use crate::collect::source::{Contexts, Drained, Source, hash_map, map, take};
use crate::profile::ledger::Population;
use crate::profile::{Ledger, Pid, StackId};

/// The row maps.
pub struct Maps {
    rows: MapData,
    cache: PerCpuArray<MapData, SiteRows>,
    stacks: MapData,
}

/// One epoch's rows.
#[derive(Default)]
pub struct Times {
    rows: Vec<(contract::LsmKey, LatencyRow)>,
    stacks: Vec<(contract::LsmStackKey, u64)>,
}

impl Source for Maps {
    type Drained = Times;

    fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            rows: hash_map(ebpf, "LSM_ROWS")?,
            cache: PerCpuArray::try_from(map(ebpf, "LSM_CACHE")?)?,
            stacks: hash_map(ebpf, "LSM_STACKS")?,
        })
    }

    fn take(&mut self, finished: u32) -> Result<Times> {
        let mut rows =
            take(&self.rows, "LSM_ROWS", |key: &contract::LsmKey| epoch_of(key.writer) == finished)?;
        self.take_cached(finished, &mut rows)?;
        let stacks =
            take(&self.stacks, "LSM_STACKS", |key: &contract::LsmStackKey| epoch_of(key.writer) == finished)?;
        Ok(Times { rows, stacks })
    }
}

impl Maps {
    /// Adds the rows that the CPUs still had at hand, of every site, and clears them.
    fn take_cached(&mut self, finished: u32, rows: &mut Vec<(contract::LsmKey, LatencyRow)>) -> Result<()> {
        for site in 0..self.cache.len() / 2 {
            let at = 2 * site + finished;
            let cached = self.cache.get(&at, 0).context("reading the LSM rows at hand")?;
            let found = cached.iter().flat_map(|cpu| cpu.rows.iter()).filter(|cached| cached.tag != 0);
            let before = rows.len();
            rows.extend(found.map(|cached| (contract::LsmKey::of(cached.tag, site as u16, 0), cached.row)));
            if rows.len() > before {
                let empty = PerCpuValues::try_from(vec![SiteRows::default(); cached.len()])?;
                self.cache.set(at, empty, 0).context("clearing the LSM rows at hand")?;
            }
        }
        Ok(())
    }
}

impl Drained for Times {
    type Rows = LsmRows;

    fn rename(&mut self, name: &mut dyn FnMut(&mut u64)) {
        self.stacks.iter_mut().for_each(|(key, _)| name(&mut key.user));
    }

    fn add_to(&self, rows: &mut LsmRows, ledger: &mut Ledger, _: &Contexts) {
        let key = |tgid, site, nr| LsmKey {
            pid: Pid(tgid),
            site,
            nr: (nr != contract::NO_NR && tgid != 0).then(|| abi::wide(u32::from(nr))),
        };
        for (from, row) in &self.rows {
            ledger.grow(Population::LsmReturns, row.calls());
            let total = rows.rows.entry(key(from.tgid, from.site, from.nr)).or_default();
            total.time.add_octave(from.octave as u8, &row.slots, row.total_ns, row.max_ns);
        }
        for (from, ns) in &self.stacks {
            let row = key(from.tgid, from.site, from.nr);
            let key = LsmStackKey { row, kernel: StackId(from.kernel), user: StackId(from.user) };
            *rows.stacks.entry(key).or_default() += ns;
        }
    }
}
