//! Rows at hand: histograms of one shape, 128 of a table on each CPU; what they displace goes to the table's hash.
//!
//! In: a duration, of what and whose. Out: its row, at hand on this CPU, or brought there.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::maps::{HashMap, PerCpuArray};
use profiler_common::histogram::octave;
use profiler_common::outcome::Outcome;
use profiler_common::syscall::{CachedRow, CachedRows, LatencyKey, LatencyRow, place, tag};
use profiler_common::writer;

use crate::outcome::{busy, count};
use crate::{global, maps, process};

/// Where the rows of one kind are.
pub trait Table {
    /// What is counted when there is no room, by events.
    const FULL: Outcome;
    /// At hand, by the epoch's parity.
    fn cache() -> &'static PerCpuArray<CachedRows>;
    /// The others.
    fn rows() -> &'static HashMap<LatencyKey, LatencyRow>;
    /// Tells of the process a row is new for, where it is the one that runs.
    fn announce(tgid: u32);
}

/// Latencies of calls.
pub struct Calls;

impl Table for Calls {
    const FULL: Outcome = Outcome::SyscallRowFull;

    #[inline(always)]
    fn cache() -> &'static PerCpuArray<CachedRows> {
        &maps::CACHE
    }

    #[inline(always)]
    fn rows() -> &'static HashMap<LatencyKey, LatencyRow> {
        &maps::LATENCY
    }

    #[inline(always)]
    fn announce(tgid: u32) {
        process::announce(tgid);
    }
}

/// Waits off the CPU; in the place of a call's number is one that `profiler_common::wait::pack` made.
pub struct Waits;

impl Table for Waits {
    const FULL: Outcome = Outcome::WaitRowFull;

    #[inline(always)]
    fn cache() -> &'static PerCpuArray<CachedRows> {
        &maps::WAIT_CACHE
    }

    #[inline(always)]
    fn rows() -> &'static HashMap<LatencyKey, LatencyRow> {
        &maps::WAITS
    }

    /// Another one runs. It was announced when its thread was seen first, or user space asks for its name.
    #[inline(always)]
    fn announce(_tgid: u32) {}
}

/// The octave of a duration. A global function: the verifier walks its branches once, and the caller
/// goes on with one state instead of one for each octave.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn octave_of(ns: u64) -> u32 {
    u32::from(octave(ns))
}

/// The one writer of what this CPU writes now.
#[inline(always)]
pub fn this_writer() -> u32 {
    // SAFETY: the helper has no preconditions.
    writer(unsafe { bpf_get_smp_processor_id() }, global::epoch())
}

/// Adds a duration to the row of a process and `nr`.
#[inline(always)]
pub fn add<T: Table>(tgid: u32, nr: u16, ns: u64) {
    let octave = octave_of(ns) as u8;
    let tag = tag(tgid, nr, octave);
    let Some(cache) = T::cache().get_ptr_mut(global::epoch() & 1) else { return };
    // SAFETY: this CPU's own value, and `place` is below its length.
    let cached = unsafe { &mut (*cache).rows[place(tag)] };
    if cached.tag != tag {
        displace::<T>(cached, tag);
    }
    cached.row.add_call(octave, ns);
}

/// Makes room at hand for the row of `tag`: the one there goes to the hash map.
#[inline(never)]
fn displace<T: Table>(cached: &mut CachedRow, tag: u64) -> u32 {
    if cached.tag != 0 {
        write_back::<T>(cached);
    }
    *cached = CachedRow { tag, row: LatencyRow::NONE };
    T::announce(tag as u32);
    0
}

#[inline(always)]
fn write_back<T: Table>(cached: &CachedRow) {
    let key = LatencyKey::of(cached.tag, this_writer());
    if let Some(row) = T::rows().get_ptr_mut(&key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe { (*row).add(&cached.row) };
    } else if busy(|| T::rows().insert(&key, &cached.row, 0)).is_err() {
        count(T::FULL, cached.row.calls());
    }
}
