//! Kernel-side outcome counters as ledger classes.
//!
//! In: the per-CPU counters. Out: what was added since the last look.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use profiler_common::outcome::{OUTCOMES, Outcome};

use crate::profile::ledger::Population;
use crate::profile::{Class, Ledger};

/// The counters and what was read of them last.
pub struct Outcomes {
    counts: PerCpuArray<MapData, [u64; OUTCOMES]>,
    last: [u64; OUTCOMES],
}

impl Outcomes {
    /// Takes the counters out of the loaded object.
    ///
    /// # Errors
    /// An object without them.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        let map = ebpf.take_map("OUTCOME_COUNTS").context("the object has no OUTCOME_COUNTS")?;
        Ok(Self { counts: PerCpuArray::try_from(map)?, last: [0; OUTCOMES] })
    }

    /// Adds what happened since the last call to `ledger`.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn add_to(&mut self, ledger: &mut Ledger) -> Result<()> {
        let per_cpu = self.counts.get(&0, 0).context("reading the outcome counters")?;
        for &outcome in Outcome::ALL {
            let index = outcome as usize;
            let total: u64 = per_cpu.iter().map(|counts| counts[index]).sum();
            let added = total.saturating_sub(self.last[index]);
            self.last[index] = total;
            match class(outcome) {
                Some(class) => ledger.count(class, added),
                None => ledger.grow(Population::Stacks, added),
            }
        }
        Ok(())
    }
}

macro_rules! classes {
    ($(#[$stacks:meta])* Stacks, $($(#[$doc:meta])* $name:ident,)*) => {
        /// The ledger's class for an outcome, which has its name; `None` for the population of stacks.
        const fn class(outcome: Outcome) -> Option<Class> {
            match outcome {
                Outcome::Stacks => None,
                $(Outcome::$name => Some(Class::$name),)*
            }
        }
    };
}

profiler_common::each_outcome!(classes);
