//! Rows of CPU samples.
//!
//! In: deltas of one interval. Out: totals; `add` is the only operation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::profile::folding::{Keys, rekey};
use crate::profile::process::Pid;
use crate::profile::row_set::{ENTRY, RowSet};
use crate::profile::stack::StackId;

/// Which samples a [`CpuRow`] sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CpuKey {
    /// Process.
    pub pid: Pid,
    /// Kernel stack; none when the sample hit user code.
    pub kernel: StackId,
    /// User stack; none for kernel threads.
    pub user: StackId,
}

impl CpuKey {
    /// The same by other keys.
    pub fn of(&self, keys: &dyn Keys) -> Self {
        Self {
            pid: keys.pid(self.pid),
            kernel: keys.kernel(self.kernel),
            user: keys.user(self.pid, self.user),
        }
    }
}

/// Samples of one [`CpuKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuRow {
    /// Samples; each stands for 1/frequency seconds of one CPU.
    pub samples: u64,
}

/// CPU samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuRows {
    /// By stacks.
    pub rows: BTreeMap<CpuKey, CpuRow>,
}

/// What the probe's rows are.
pub type Rows = CpuRows;

impl RowSet for CpuRows {
    fn add(&mut self, delta: &Self) {
        let Self { rows } = delta;
        for (key, row) in rows {
            let total = self.rows.entry(*key).or_default();
            total.samples = total.samples.saturating_add(row.samples);
        }
    }

    fn weigh(&self) -> u64 {
        let Self { rows } = self;
        rows.len() as u64 * ENTRY
    }

    fn stacks(&self, each: &mut dyn FnMut(StackId)) {
        let Self { rows } = self;
        rows.keys().for_each(|key| [key.kernel, key.user].into_iter().for_each(&mut *each));
    }

    fn rekey(&mut self, keys: &dyn Keys) {
        rekey(
            &mut self.rows,
            |key| key.of(keys),
            |sum, row| sum.samples = sum.samples.saturating_add(row.samples),
        );
    }
}
