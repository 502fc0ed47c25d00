//! Rows at hand: each CPU keeps 128 rows of a table in an array. A new row displaces an old one into the table's hash.
//!
//! In: a duration, its process and call. Out: its row, at hand on this CPU.

use aya_ebpf::maps::{HashMap, PerCpuArray};
use profiler_common::outcome::Outcome;
use profiler_common::syscall::{CachedRow, CachedRows, LatencyKey, LatencyRow, place, tag};

use crate::global;
use crate::row::sum;
use crate::row::writer::{octave_of, this_writer};

/// Where the rows of one kind are.
pub trait Table {
    /// The outcome to count, by events, when there is no room.
    const FULL: Outcome;
    /// At hand, by the epoch's parity.
    fn cache() -> &'static PerCpuArray<CachedRows>;
    /// The others.
    fn rows() -> &'static HashMap<LatencyKey, LatencyRow>;
    /// Announces the process of a new row, if it is the one that runs.
    fn announce(tgid: u32);
}

/// Adds a duration to the row of a process and `nr`.
#[inline(always)]
pub fn add<T: Table>(tgid: u32, nr: u16, ns: u64) {
    let octave = octave_of(ns) as u8;
    let tag = tag(tgid, nr, octave);
    let Some(cache) = T::cache().get_ptr_mut(global::epoch() & 1) else { return };
    // SAFETY: this CPU's own value, of the epoch that user space does not read. The programs that come here (at system
    // calls and switches) run without preemption and never on top of each other.
    let cached = unsafe { &mut (*cache).rows[place(tag)] };
    if cached.tag != tag {
        displace::<T>(cached, tag);
    }
    cached.row.add_call(octave, ns);
}

/// Makes room at hand for the row of `tag`: the row there moves to the hash map.
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
    sum::add(T::rows(), &key, &cached.row, (T::FULL, cached.row.calls()), |row| row.add(&cached.row));
}
