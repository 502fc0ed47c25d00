//! The `syscall` probe's records: per-thread state, latency rows, slow rows.
//!
//! In: what the programs see. Out: rows user space drains once a second.

use crate::histogram::SLOTS;

/// No call: the thread runs user code.
pub const NO_CALL: u32 = u32::MAX;

/// What this CPU knows of the thread it runs: the fast path of a call that never leaves the CPU.
/// `sched_switch` moves a call that does to the thread's own state, and forgets the owner.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// Address of the task the rest is about; 0 = nobody's.
    pub owner: u64,
    /// 1: it is measured.
    pub admitted: u32,
    /// 1: it is inside the call below.
    pub in_call: u32,
    /// System call number.
    pub nr: u32,
    /// Its process.
    pub tgid: u32,
    /// When it entered the call, ns.
    pub enter_ns: u64,
    /// Kernel stack of the latest CPU sample in this call.
    pub sample_stack: u64,
    /// Its thread id.
    pub tid: u32,
    /// Explicit padding.
    pub pad: u32,
}
crate::shared_record!(Slot, 48);

/// Key of a latency row.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LatencyKey {
    /// Process.
    pub tgid: u32,
    /// System call number.
    pub nr: u16,
    /// Octave of the latency, see [`crate::histogram`].
    pub octave: u8,
    /// Explicit padding.
    pub pad: u8,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
}
crate::shared_record!(LatencyKey, 12);

/// One octave of a latency histogram.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LatencyRow {
    /// Calls per slot of the octave.
    pub slots: [u32; SLOTS],
    /// Sum of latencies, ns.
    pub total_ns: u64,
    /// Longest latency, ns.
    pub max_ns: u64,
}
crate::shared_record!(LatencyRow, 48);

/// Key of an error counter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorKey {
    /// Process.
    pub tgid: u32,
    /// System call number.
    pub nr: u16,
    /// Positive errno.
    pub errno: u16,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
}
crate::shared_record!(ErrorKey, 12);

/// Where the kernel stack of a slow call comes from.
pub mod source {
    /// There is none: the call neither slept long nor met a sample.
    pub const NONE: u32 = 0;
    /// The longest wait off the CPU.
    pub const WAIT: u32 = 1;
    /// A CPU sample inside the call.
    pub const SAMPLE: u32 = 2;
}

/// Key of a row of slow calls.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlowKey {
    /// Process.
    pub tgid: u32,
    /// System call number.
    pub nr: u32,
    /// Kernel stack during the call.
    pub kernel: u64,
    /// User stack that made the call.
    pub user: u64,
    /// [`source`] of the kernel stack.
    pub source: u32,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
}
crate::shared_record!(SlowKey, 32);

/// Sum of slow calls with one pair of stacks.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SlowRow {
    /// Calls.
    pub count: u64,
    /// Sum of latencies, ns.
    pub total_ns: u64,
    /// Longest latency, ns.
    pub max_ns: u64,
    /// Part of `total_ns` off the CPU, ns.
    pub off_cpu_ns: u64,
}
crate::shared_record!(SlowRow, 32);
