//! The parts of slow calls: where their wall time went, each part measured by its own slices.
//!
//! In: deltas of one interval. Out: sums per row of slow calls, and per (process, call, part, stack).

pub use profiler_common::part::Part;
use serde::{Deserialize, Serialize};

use super::call::CallNumber;
use super::process::Pid;
use super::stack::StackId;

/// Wall time of calls by part, ns. Fields are named: a capture may know fewer parts, or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parts {
    on_cpu: u64,
    spin: u64,
    irq: u64,
    lock_sleep: u64,
    sleep: u64,
    woken: u64,
    preempted: u64,
    throttled: u64,
    interrupted: u64,
    unaccounted: u64,
}

impl Parts {
    /// From the kernel side's array, whose order is [`Part::ALL`]'s.
    pub const fn new(ns: [u64; Part::ALL.len()]) -> Self {
        let [on_cpu, spin, irq, lock_sleep, sleep, woken, preempted, throttled, interrupted, unaccounted] =
            ns;
        Self { on_cpu, spin, irq, lock_sleep, sleep, woken, preempted, throttled, interrupted, unaccounted }
    }

    /// One part, ns.
    pub const fn get(&self, part: Part) -> u64 {
        match part {
            Part::OnCpu => self.on_cpu,
            Part::Spin => self.spin,
            Part::Irq => self.irq,
            Part::LockSleep => self.lock_sleep,
            Part::Sleep => self.sleep,
            Part::Woken => self.woken,
            Part::Preempted => self.preempted,
            Part::Throttled => self.throttled,
            Part::Interrupted => self.interrupted,
            Part::Unaccounted => self.unaccounted,
        }
    }

    /// Adds other calls.
    pub fn add(&mut self, other: &Self) {
        *self = Self::new(Part::ALL.map(|part| self.get(part).saturating_add(other.get(part))));
    }

    /// All parts, which is the calls' wall time, ns; 0 where parts were not recorded.
    pub fn sum(&self) -> u64 {
        Part::ALL.iter().fold(0, |sum, part| sum.saturating_add(self.get(*part)))
    }

    /// Waiting for a CPU, ns.
    pub const fn runnable_ns(&self) -> u64 {
        self.get(Part::Woken)
            .saturating_add(self.get(Part::Preempted))
            .saturating_add(self.get(Part::Throttled))
    }

    /// Off the CPU, ns.
    pub const fn off_cpu_ns(&self) -> u64 {
        self.get(Part::LockSleep).saturating_add(self.get(Part::Sleep)).saturating_add(self.runnable_ns())
    }
}

/// Which time a [`PartRow`] sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartKey {
    /// Process.
    pub pid: Pid,
    /// System call.
    pub nr: CallNumber,
    /// Part.
    pub part: Part,
    /// Kernel stack that shows it: of the longest wait in a call, or of its latest sample.
    pub kernel: StackId,
}

/// Time of one [`PartKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRow {
    /// Time, ns.
    pub ns: u64,
    /// Calls that have it.
    pub calls: u64,
}

impl PartRow {
    /// Adds other time.
    pub fn add(&mut self, other: &Self) {
        self.ns = self.ns.saturating_add(other.ns);
        self.calls = self.calls.saturating_add(other.calls);
    }
}
