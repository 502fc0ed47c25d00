//! The `syscall` probe's records: per-thread state, latency rows, slow rows.
//!
//! In: what the programs see. Out: rows user space drains once a second.

use crate::histogram::{SLOTS, slot_in};
use crate::part::PARTS;

/// No call: the thread runs user code.
pub const NO_CALL: u32 = u32::MAX;

/// What this CPU knows of the thread it runs. A call that never leaves the CPU is only here. When the thread leaves
/// the CPU inside a call, `sched_switch` moves the call to the thread's own record. Each switch forgets the verdict, so a slot
/// is always about the thread that runs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// Whether the thread is measured: a [`verdict`].
    pub verdict: u32,
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
    /// Interrupts on top of this call so far, ns.
    pub irq_ns: u64,
    /// Its thread id.
    pub tid: u32,
    /// Explicit padding.
    pub pad: u32,
}
crate::shared_record!(Slot, 48);

/// What the target filter said of the thread that runs.
pub mod verdict {
    /// Nothing yet in this time slice.
    pub const UNKNOWN: u32 = 0;
    /// It is not measured.
    pub const OUTSIDE: u32 = 1;
    /// It is measured.
    pub const INSIDE: u32 = 2;
}

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

impl LatencyRow {
    /// No calls.
    pub const NONE: Self = Self { slots: [0; SLOTS], total_ns: 0, max_ns: 0 };

    /// Adds another row of the same octave.
    #[inline(always)]
    pub const fn add(&mut self, other: &Self) {
        // No iterator: the programs unroll this loop.
        let mut index = 0;
        while index < SLOTS {
            self.slots[index] = self.slots[index].wrapping_add(other.slots[index]);
            index += 1;
        }
        self.total_ns = self.total_ns.wrapping_add(other.total_ns);
        if other.max_ns > self.max_ns {
            self.max_ns = other.max_ns;
        }
    }

    /// Adds one call of so many ns, whose octave is the row's.
    #[inline(always)]
    pub const fn add_call(&mut self, octave: u8, ns: u64) {
        self.add_to(slot_in(octave, ns), ns);
    }

    /// Adds one call of so many ns to a slot that is known.
    #[inline(always)]
    pub const fn add_to(&mut self, slot: usize, ns: u64) {
        let slot = slot & (SLOTS - 1);
        self.slots[slot] = self.slots[slot].wrapping_add(1);
        self.total_ns = self.total_ns.wrapping_add(ns);
        if ns > self.max_ns {
            self.max_ns = ns;
        }
    }

    /// How many calls.
    #[inline(always)]
    pub const fn calls(&self) -> u64 {
        let (mut calls, mut index) = (0, 0);
        while index < SLOTS {
            calls += self.slots[index] as u64;
            index += 1;
        }
        calls
    }
}

/// Rows a CPU keeps at hand per epoch.
pub const CACHED_ROWS: usize = 128;

/// A latency row at hand: the fast path adds here, without a hash look-up. What it displaces goes
/// to the hash map; what is left when the epoch ends, user space reads.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CachedRow {
    /// Which row: see [`tag`]; 0 = free.
    pub tag: u64,
    /// Its counts.
    pub row: LatencyRow,
}
crate::shared_record!(CachedRow, 56);

/// The rows one CPU has at hand in one epoch.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CachedRows {
    /// By [`place`].
    pub rows: [CachedRow; CACHED_ROWS],
}
crate::shared_record!(CachedRows, 56 * CACHED_ROWS);

impl Default for CachedRows {
    fn default() -> Self {
        Self { rows: [CachedRow::default(); CACHED_ROWS] }
    }
}

/// Packs what tells a row apart on one CPU in one epoch; never 0.
#[inline(always)]
pub const fn tag(tgid: u32, nr: u16, octave: u8) -> u64 {
    1 << 63 | (octave as u64) << 48 | (nr as u64) << 32 | tgid as u64
}

/// The only place in a CPU's cache where the row of a tag may be.
#[inline(always)]
pub const fn place(tag: u64) -> usize {
    (tag.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57) as usize & (CACHED_ROWS - 1)
}

impl LatencyKey {
    /// The key behind a tag.
    #[inline(always)]
    pub const fn of(tag: u64, writer: u32) -> Self {
        let (octave, nr) = ((tag >> 48) as u8 & 0x7f, (tag >> 32) as u16);
        Self { tgid: tag as u32, nr, octave, pad: 0, writer }
    }
}

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
    /// The begin of the longest spin.
    pub const SPIN: u32 = 3;
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
    /// `total_ns` by [`crate::part::Part`], ns.
    pub parts: [u64; PARTS],
}
crate::shared_record!(SlowRow, 24 + 8 * PARTS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::octave;

    #[test]
    fn rows_of_one_octave_add_up() {
        let (mut row, mut other) = (LatencyRow::NONE, LatencyRow::NONE);
        for ns in [64, 71, 72, 127] {
            row.add_call(octave(ns), ns);
        }
        other.add_call(octave(126), 126);
        other.add(&row);
        assert_eq!((other.slots, other.calls()), ([2, 1, 0, 0, 0, 0, 0, 2], 5));
        assert_eq!((other.total_ns, other.max_ns), (460, 127));
    }
}
