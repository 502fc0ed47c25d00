//! Rows of lock waits.
//!
//! In: deltas of one interval. Out: totals; `add` is the only operation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::profile::context::LockContext;
use crate::profile::folding::{Keys, rekey};
use crate::profile::histogram::Histogram;
use crate::profile::lock_kind::LockKind;
use crate::profile::process::Pid;
use crate::profile::row_set::{ENTRY, RowSet};
use crate::profile::stack::StackId;

/// Which waits a [`LockRow`] sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LockKey {
    /// Process; `Pid(0)` for waits in interrupts.
    pub pid: Pid,
    /// Kind of lock.
    pub kind: LockKind,
    /// Context that waited.
    pub context: LockContext,
    /// Address of a static lock, else 0.
    pub lock: u64,
    /// Kernel stack at the begin of the wait.
    pub kernel: StackId,
    /// User stack, for sleeping locks.
    pub user: StackId,
}

/// Waits of one [`LockKey`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRow {
    /// Wait times.
    pub wait: Histogram,
}

/// Who held a lock when a wait for it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holder {
    /// A process, inside the target or outside.
    Process(Pid),
    /// Readers: the kernel does not keep who they are.
    Readers,
}

/// Which waits a [`HolderRow`] sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HolderKey {
    /// Process that waited.
    pub pid: Pid,
    /// Kind of lock.
    pub kind: LockKind,
    /// Address of a static lock, else 0.
    pub lock: u64,
    /// Kernel stack at the begin of the wait.
    pub kernel: StackId,
    /// Who held it.
    pub holder: Holder,
}

/// Waits for what one process held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderRow {
    /// Waits.
    pub waits: u64,
    /// Sum of waits, ns.
    pub total_ns: u64,
}

/// Lock waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRows {
    /// By lock and stacks.
    pub rows: BTreeMap<LockKey, LockRow>,
    /// By holder, for waits whose holder is known.
    #[serde(default)]
    pub holders: BTreeMap<HolderKey, HolderRow>,
}

/// What the probe's rows are.
pub type Rows = LockRows;

impl HolderRow {
    /// Adds other waits.
    fn add(&mut self, other: &Self) {
        self.waits = self.waits.saturating_add(other.waits);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
    }
}

impl RowSet for LockRows {
    fn add(&mut self, delta: &Self) {
        let Self { rows, holders } = delta;
        for (key, row) in rows {
            self.rows.entry(*key).or_default().wait.merge(&row.wait);
        }
        for (key, row) in holders {
            self.holders.entry(*key).or_default().add(row);
        }
    }

    fn weigh(&self) -> u64 {
        let Self { rows, holders } = self;
        let waits = rows.values().map(|row| row.wait.weigh() + ENTRY);
        waits.sum::<u64>() + holders.len() as u64 * ENTRY
    }

    fn stacks(&self, each: &mut dyn FnMut(StackId)) {
        let Self { rows, holders } = self;
        rows.keys().for_each(|key| [key.kernel, key.user].into_iter().for_each(&mut *each));
        holders.keys().for_each(|key| each(key.kernel));
    }

    fn rekey(&mut self, keys: &dyn Keys) {
        let new = |key: &LockKey| LockKey {
            pid: keys.pid(key.pid),
            kernel: keys.kernel(key.kernel),
            user: keys.user(key.pid, key.user),
            ..*key
        };
        rekey(&mut self.rows, new, |sum, row| sum.wait.merge(&row.wait));
        let holder = |holder| match holder {
            Holder::Process(pid) => Holder::Process(keys.pid(pid)),
            Holder::Readers => Holder::Readers,
        };
        let new = |key: &HolderKey| HolderKey {
            pid: keys.pid(key.pid),
            kernel: keys.kernel(key.kernel),
            holder: holder(key.holder),
            ..*key
        };
        rekey(&mut self.holders, new, HolderRow::add);
    }
}
