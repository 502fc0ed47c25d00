//! Rows of the `syscall` probe.
//!
//! In: a call that ended. Out: its latency row and errno counter; slow ones go on to `slow`.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use profiler_common::histogram::octave;
use profiler_common::outcome::Outcome;
use profiler_common::syscall::{CachedRow, ErrorKey, LatencyKey, LatencyRow, place, tag};
use profiler_common::writer;

use crate::maps::{CACHE, ERRORS, LATENCY};
use crate::outcome::{busy, count};
use crate::{global, process};
use profiler_common::processor::RT_SIGRETURN;

/// A call that ended: what its rows need.
pub struct Ended {
    pub tgid: u32,
    pub nr: u32,
    pub latency_ns: u64,
    pub ret: i64,
}

/// Adds a call that ended to its rows; whether it is slow.
#[inline(always)]
pub fn add(ended: &Ended) -> bool {
    // What rt_sigreturn leaves behind is the interrupted code's register, no errno of its own.
    if ended.ret < 0 && ended.ret >= -4095 && ended.nr != RT_SIGRETURN {
        add_error(ended);
    }
    add_latency(ended);
    ended.latency_ns >= global::slow_ns()
}

#[inline(always)]
fn this_writer() -> u32 {
    // SAFETY: the helper has no preconditions.
    writer(unsafe { bpf_get_smp_processor_id() }, global::epoch())
}

/// The octave of a duration. A global function: the verifier walks its branches once, and the caller
/// goes on with one state instead of one for each octave.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn octave_of(ns: u64) -> u32 {
    u32::from(octave(ns))
}

/// Adds a latency to its row: at hand on this CPU, or brought there.
#[inline(always)]
fn add_latency(ended: &Ended) {
    let ns = ended.latency_ns;
    let octave = octave_of(ns) as u8;
    let tag = tag(ended.tgid, ended.nr as u16, octave);
    let Some(cache) = CACHE.get_ptr_mut(global::epoch() & 1) else { return };
    // SAFETY: this CPU's own value, and `place` is below its length.
    let cached = unsafe { &mut (*cache).rows[place(tag)] };
    if cached.tag != tag {
        displace(cached, tag);
    }
    cached.row.add_call(octave, ns);
}

/// Makes room at hand for the row of `tag`: the one there goes to the hash map.
#[inline(never)]
fn displace(cached: &mut CachedRow, tag: u64) -> u32 {
    if cached.tag != 0 {
        write_back(cached);
    }
    *cached = CachedRow { tag, row: LatencyRow::NONE };
    process::announce(tag as u32);
    0
}

#[inline(always)]
fn write_back(cached: &CachedRow) {
    let key = LatencyKey::of(cached.tag, this_writer());
    if let Some(row) = LATENCY.get_ptr_mut(&key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe { (*row).add(&cached.row) };
    } else if busy(|| LATENCY.insert(&key, &cached.row, 0)).is_err() {
        count(Outcome::SyscallRowFull, cached.row.calls());
    }
}

#[inline(never)]
fn add_error(ended: &Ended) -> u32 {
    let key =
        ErrorKey { tgid: ended.tgid, nr: ended.nr as u16, errno: (-ended.ret) as u16, writer: this_writer() };
    if let Some(row) = ERRORS.get_ptr_mut(&key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe { *row += 1 };
    } else if busy(|| ERRORS.insert(&key, &1, 0)).is_err() {
        count(Outcome::ErrorRowFull, 1);
    }
    0
}
