//! CPU samples, from the kernel's rows to the profile's.
//!
//! In: the row map. Out: one epoch's rows, CPUs summed.

use anyhow::Result;
use aya::Ebpf;
use aya::maps::MapData;
use profiler_common::epoch_of;
use profiler_common::sample::SampleKey;

use super::rows::{CpuKey, CpuRow, CpuRows};
use crate::collect::source::{Contexts, Drained, Source, hash_map, take};
use crate::profile::ledger::Population;
use crate::profile::{Ledger, Pid, StackId};

/// The row map.
pub struct Maps {
    samples: MapData,
}

/// One epoch's rows.
#[derive(Default)]
pub struct Samples {
    samples: Vec<(SampleKey, u64)>,
}

impl Source for Maps {
    type Drained = Samples;

    fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self { samples: hash_map(ebpf, "SAMPLES")? })
    }

    fn take(&mut self, finished: u32) -> Result<Samples> {
        let samples = take(&self.samples, "SAMPLES", |key: &SampleKey| epoch_of(key.writer) == finished)?;
        Ok(Samples { samples })
    }
}

impl Drained for Samples {
    type Rows = CpuRows;

    fn rename(&mut self, name: &mut dyn FnMut(&mut u64)) {
        self.samples.iter_mut().for_each(|(key, _)| name(&mut key.user));
    }

    fn add_to(&self, rows: &mut CpuRows, ledger: &mut Ledger, _: &Contexts) {
        for (key, samples) in &self.samples {
            ledger.grow(Population::Samples, *samples);
            let key = CpuKey { pid: Pid(key.tgid), kernel: StackId(key.kernel), user: StackId(key.user) };
            let row: &mut CpuRow = rows.rows.entry(key).or_default();
            row.samples += samples;
        }
    }
}
