//! Rows of system calls.
//!
//! In: deltas of one interval. Out: totals; `add` is the only operation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::profile::call::CallNumber;
use crate::profile::folding::{Keys, rekey};
use crate::profile::histogram::Histogram;
use crate::profile::parts::{PartKey, PartRow, Parts};
use crate::profile::process::Pid;
use crate::profile::row_set::{ENTRY, RowSet};
use crate::profile::stack::StackId;

/// One (process, system call).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyscallRow {
    /// Latencies of calls that returned.
    pub latency: Histogram,
    /// Positive errno → calls.
    pub errors: BTreeMap<u16, u64>,
}

/// Which slow calls a [`SlowRow`] sums: one pair of stacks of one (process, system call).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SlowKey {
    /// Process.
    pub pid: Pid,
    /// System call.
    pub nr: CallNumber,
    /// Kernel stack during the call.
    pub kernel: StackId,
    /// User stack that made the call.
    pub user: StackId,
    /// Where the kernel stack comes from.
    pub source: StackSource,
}

/// Where a slow call's kernel stack comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StackSource {
    /// None was to be had: no long wait, and no sample fell into the call.
    None,
    /// Its longest wait off the CPU.
    Wait,
    /// A CPU sample inside it.
    Sample,
    /// The begin of its longest spin on a lock.
    Spin,
}

/// Slow calls of one [`SlowKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowRow {
    /// Calls.
    pub count: u64,
    /// Sum of latencies, ns.
    pub total_ns: u64,
    /// Longest, ns.
    pub max_ns: u64,
    /// Part of `total_ns` off the CPU, ns.
    pub off_cpu_ns: u64,
    /// `total_ns` by part; zeros in captures of version 1.
    #[serde(default)]
    pub parts: Parts,
}

/// System calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyscallRows {
    /// All calls.
    pub rows: BTreeMap<(Pid, CallNumber), SyscallRow>,
    /// Those at or above the threshold, by stacks.
    pub slow: BTreeMap<SlowKey, SlowRow>,
    /// Their wall time by part and kernel stack; empty in captures of version 1.
    #[serde(default)]
    pub parts: BTreeMap<PartKey, PartRow>,
}

/// What the probe's rows are.
pub type Rows = SyscallRows;

impl SyscallRow {
    /// Adds other calls.
    fn add(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        for (&errno, &count) in &other.errors {
            let sum = self.errors.entry(errno).or_default();
            *sum = sum.saturating_add(count);
        }
    }
}

impl SlowRow {
    /// Adds other calls.
    pub fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.off_cpu_ns = self.off_cpu_ns.saturating_add(other.off_cpu_ns);
        self.parts.add(&other.parts);
    }
}

impl RowSet for SyscallRows {
    fn add(&mut self, delta: &Self) {
        let Self { rows, slow, parts } = delta;
        for (key, row) in rows {
            self.rows.entry(*key).or_default().add(row);
        }
        for (key, row) in slow {
            self.slow.entry(*key).or_default().add(row);
        }
        for (key, row) in parts {
            self.parts.entry(*key).or_default().add(row);
        }
    }

    fn weigh(&self) -> u64 {
        let Self { rows, slow, parts } = self;
        let calls = rows.values().map(|row| row.latency.weigh() + row.errors.len() as u64 * 24 + ENTRY);
        calls.sum::<u64>() + (slow.len() + parts.len()) as u64 * ENTRY
    }

    fn stacks(&self, each: &mut dyn FnMut(StackId)) {
        let Self { rows: _, slow, parts } = self;
        slow.keys().for_each(|key| [key.kernel, key.user].into_iter().for_each(&mut *each));
        parts.keys().for_each(|key| each(key.kernel));
    }

    fn rekey(&mut self, keys: &dyn Keys) {
        rekey(&mut self.rows, |(pid, nr)| (keys.pid(*pid), *nr), SyscallRow::add);
        let new = |key: &SlowKey| SlowKey {
            pid: keys.pid(key.pid),
            kernel: keys.kernel(key.kernel),
            user: keys.user(key.pid, key.user),
            ..*key
        };
        rekey(&mut self.slow, new, SlowRow::add);
        let new = |key: &PartKey| PartKey { pid: keys.pid(key.pid), kernel: keys.kernel(key.kernel), ..*key };
        rekey(&mut self.parts, new, PartRow::add);
    }
}
