//! Rows of requests.
//!
//! In: a request's key and times. Out: its row in `BLOCK_ROWS`. Requests complete in interrupts, too, which may interrupt one
//! another: a run on top of another writes rows of its own.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray};
use profiler_common::block::{BlockKey, BlockRow, UNTOLD};
use profiler_common::histogram::{SLOTS, slot_in};
use profiler_common::outcome::Outcome;

use crate::row::sum;
use crate::row::writer::{octave_of, this_writer};

/// As a time: not known.
pub const NO_TIME: u64 = u64::MAX;

/// Requests.
#[map]
static BLOCK_ROWS: HashMap<BlockKey, BlockRow> = HashMap::with_max_entries(8_192, 0);
/// How many runs are at work on this CPU.
#[map]
static BLOCK_RUNS: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

/// What a request adds to its row.
#[derive(Clone, Copy)]
pub struct Times {
    /// 1, or 0 of a part of one.
    pub requests: u32,
    /// Time in the device, or [`NO_TIME`].
    pub device_ns: u64,
    /// Time in the queue, or [`NO_TIME`].
    pub queue_ns: u64,
    /// Bytes.
    pub bytes: u64,
    /// 1: it failed.
    pub failed: u64,
}

impl Times {
    /// Nothing.
    pub const NONE: Self = Self { requests: 0, device_ns: NO_TIME, queue_ns: NO_TIME, bytes: 0, failed: 0 };
}

/// Adds a request to the row of its key, whose octaves and writer are filled in here.
#[inline(always)]
pub fn add(key: &mut BlockKey, times: &Times) {
    let Some(runs) = BLOCK_RUNS.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own value; what interrupts this run has put it back when this one goes on.
    let below = unsafe {
        let below = runs.read_volatile();
        runs.write_volatile(below + 1);
        below
    };
    key.writer = this_writer() | (below & 0x7f) << 24;
    add_row(key, times);
    // SAFETY: as above.
    unsafe { runs.write_volatile(below) };
}

#[inline(never)]
fn add_row(key: &mut BlockKey, times: &Times) -> u32 {
    let (device_ns, device) = place(times.device_ns, &mut key.device_octave);
    let (queue_ns, queue) = place(times.queue_ns, &mut key.queue_octave);
    let mut first = BlockRow {
        device_slots: [0; SLOTS],
        queue_slots: [0; SLOTS],
        device_ns,
        device_max_ns: device_ns,
        queue_ns,
        queue_max_ns: queue_ns,
        bytes: times.bytes,
        failed: times.failed,
    };
    first.device_slots[device] = times.requests;
    first.queue_slots[queue] = times.requests;
    sum::add(&BLOCK_ROWS, key, &first, (Outcome::BlockRowFull, times.requests.into()), |row| {
        row.device_slots[device] += times.requests;
        row.queue_slots[queue] += times.requests;
        row.device_ns += device_ns;
        row.queue_ns += queue_ns;
        row.bytes += times.bytes;
        row.failed += times.failed;
        if device_ns > row.device_max_ns {
            row.device_max_ns = device_ns;
        }
        if queue_ns > row.queue_max_ns {
            row.queue_max_ns = queue_ns;
        }
    });
    0
}

/// A time and its slot; its octave goes into the key.
#[inline(always)]
fn place(ns: u64, octave: &mut u8) -> (u64, usize) {
    if ns == NO_TIME {
        *octave = UNTOLD;
        return (0, 0);
    }
    *octave = octave_of(ns) as u8;
    (ns, slot_in(*octave, ns) & (SLOTS - 1))
}
