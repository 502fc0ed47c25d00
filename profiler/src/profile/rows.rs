//! Rows: what each probe produced, summed over CPUs.
//!
//! In: deltas of one interval. Out: totals; `add` is the only operation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::parts::{PartKey, PartRow, Parts};
use super::process::{Pid, Tid};
use super::stack::StackId;

/// A system call number of the x86-64 table.
pub type CallNumber = u32;

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

impl SyscallRows {
    /// Adds a delta.
    pub fn add(&mut self, delta: &Self) {
        for (key, row) in &delta.rows {
            let total = self.rows.entry(*key).or_default();
            total.latency.merge(&row.latency);
            for (&errno, &count) in &row.errors {
                let sum = total.errors.entry(errno).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        for (key, row) in &delta.slow {
            let total = self.slow.entry(*key).or_default();
            total.count = total.count.saturating_add(row.count);
            total.total_ns = total.total_ns.saturating_add(row.total_ns);
            total.max_ns = total.max_ns.max(row.max_ns);
            total.off_cpu_ns = total.off_cpu_ns.saturating_add(row.off_cpu_ns);
            total.parts.add(&row.parts);
        }
        for (key, row) in &delta.parts {
            let total = self.parts.entry(*key).or_default();
            total.ns = total.ns.saturating_add(row.ns);
            total.calls = total.calls.saturating_add(row.calls);
        }
    }
}

/// Kind of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockKind {
    /// Spinlock.
    Spin,
    /// Reader-writer spinlock, for reading.
    RwlockRead,
    /// Reader-writer spinlock, for writing.
    RwlockWrite,
    /// Mutex.
    Mutex,
    /// Reader-writer semaphore, for reading.
    RwsemRead,
    /// Reader-writer semaphore, for writing.
    RwsemWrite,
    /// Per-CPU reader-writer semaphore, for reading.
    PercpuRwsemRead,
    /// Per-CPU reader-writer semaphore, for writing.
    PercpuRwsemWrite,
    /// Real-time mutex.
    Rtmutex,
    /// Flags this version does not know.
    Unknown,
}

impl LockKind {
    /// The name users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::RwlockRead => "rwlock-read",
            Self::RwlockWrite => "rwlock-write",
            Self::Mutex => "mutex",
            Self::RwsemRead => "rwsem-read",
            Self::RwsemWrite => "rwsem-write",
            Self::PercpuRwsemRead => "percpu-rwsem-read",
            Self::PercpuRwsemWrite => "percpu-rwsem-write",
            Self::Rtmutex => "rtmutex",
            Self::Unknown => "unknown",
        }
    }
}

/// Context that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockContext {
    /// The process itself.
    Task,
    /// A softirq on its CPU: not the process's wait.
    Softirq,
    /// A hardirq on its CPU: not the process's wait.
    Hardirq,
    /// A non-maskable interrupt.
    Nmi,
}

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
    /// By holder, of the waits whose holder was known.
    #[serde(default)]
    pub holders: BTreeMap<HolderKey, HolderRow>,
}

impl LockRows {
    /// Adds a delta.
    pub fn add(&mut self, delta: &Self) {
        for (key, row) in &delta.rows {
            self.rows.entry(*key).or_default().wait.merge(&row.wait);
        }
        for (key, row) in &delta.holders {
            let total = self.holders.entry(*key).or_default();
            total.waits = total.waits.saturating_add(row.waits);
            total.total_ns = total.total_ns.saturating_add(row.total_ns);
        }
    }
}

/// A traced function of the kernel's security layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LsmSite {
    /// The hook, `socket_sendmsg`.
    pub hook: String,
    /// The module whose function it is, `apparmor`; empty for the hook itself, which calls them all.
    pub module: String,
    /// The kernel's function, `apparmor_socket_sendmsg`.
    pub function: String,
}

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
    /// Whose time.
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

impl LsmRows {
    /// Adds a delta.
    pub fn add(&mut self, delta: &Self) {
        for (key, row) in &delta.rows {
            self.rows.entry(*key).or_default().time.merge(&row.time);
        }
        for (key, ns) in &delta.stacks {
            let total = self.stacks.entry(*key).or_default();
            *total = total.saturating_add(*ns);
        }
    }
}

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

impl CpuRows {
    /// Adds a delta.
    pub fn add(&mut self, delta: &Self) {
        for (key, row) in &delta.rows {
            let total = self.rows.entry(*key).or_default();
            total.samples = total.samples.saturating_add(row.samples);
        }
    }
}

/// A call that had not returned when recording ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlightCall {
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// Thread name.
    pub comm: String,
    /// System call.
    pub nr: CallNumber,
    /// Time since it was entered, ns.
    pub age_ns: u64,
    /// It began before attach: `age_ns` is a lower bound.
    pub at_least: bool,
    /// Kernel stack at the end of recording.
    pub kernel: StackId,
}
