//! Rows of the security layer.
//!
//! In: deltas of one interval. Out: totals; `add` is the only operation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::profile::call::CallNumber;
use crate::profile::folding::{Keys, rekey};
use crate::profile::histogram::Histogram;
use crate::profile::process::Pid;
use crate::profile::row_set::{ENTRY, RowSet};
use crate::profile::stack::StackId;

/// Which times an [`LsmRow`] sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LsmKey {
    /// Process; `Pid(0)` in interrupts.
    pub pid: Pid,
    /// Position in the header's list of sites.
    pub site: u16,
    /// The system call it ran in; none in interrupts, and when calls are not measured.
    pub nr: Option<CallNumber>,
}

/// Times of one [`LsmKey`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LsmRow {
    /// Times of the function, what it calls included.
    pub time: Histogram,
}

/// Which stacks stand for an amount of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LsmStackKey {
    /// The process whose time it is.
    pub row: LsmKey,
    /// Kernel stack.
    pub kernel: StackId,
    /// User stack.
    pub user: StackId,
}

/// Time in the security layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LsmRows {
    /// By process, function and call.
    pub rows: BTreeMap<LsmKey, LsmRow>,
    /// The part of it that stacks stand for, ns.
    pub stacks: BTreeMap<LsmStackKey, u64>,
}

/// What the probe's rows are.
pub type Rows = LsmRows;

impl RowSet for LsmRows {
    fn add(&mut self, delta: &Self) {
        let Self { rows, stacks } = delta;
        for (key, row) in rows {
            self.rows.entry(*key).or_default().time.merge(&row.time);
        }
        for (key, ns) in stacks {
            let total = self.stacks.entry(*key).or_default();
            *total = total.saturating_add(*ns);
        }
    }

    fn weigh(&self) -> u64 {
        let Self { rows, stacks } = self;
        let times = rows.values().map(|row| row.time.weigh() + ENTRY);
        times.sum::<u64>() + stacks.len() as u64 * ENTRY
    }

    fn stacks(&self, each: &mut dyn FnMut(StackId)) {
        let Self { rows: _, stacks } = self;
        stacks.keys().for_each(|key| [key.kernel, key.user].into_iter().for_each(&mut *each));
    }

    fn rekey(&mut self, keys: &dyn Keys) {
        let row = |key: &LsmKey| LsmKey { pid: keys.pid(key.pid), ..*key };
        rekey(&mut self.rows, row, |sum, row| sum.time.merge(&row.time));
        let stack = |key: &LsmStackKey| LsmStackKey {
            row: row(&key.row),
            kernel: keys.kernel(key.kernel),
            user: keys.user(key.row.pid, key.user),
        };
        rekey(&mut self.stacks, stack, |sum, ns| *sum = sum.saturating_add(*ns));
    }
}
