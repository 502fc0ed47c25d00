//! The last fault of each thread that a handler caught.
//!
//! In: a filled buffer; the end of a thread. Out: a record in the ring of faults, if the thread ends soon after the fault.

use aya_ebpf::bindings::BPF_RB_FORCE_WAKEUP;
use aya_ebpf::helpers::generated::{bpf_map_update_elem, bpf_ringbuf_output};
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use profiler_common::crash::{CAUGHT_NS, FaultHead, STACK_BYTES_LATER};
use profiler_common::outcome::Outcome;

use crate::clock::now_ns;
use crate::crash::buffer::{self, FAULTS};
use crate::global;
use crate::outcome::{busy, count};

/// The last one of each thread. What is forgotten here was of a thread that has not faulted for long.
#[map]
static CAUGHT: LruHashMap<u32, Caught> = LruHashMap::with_max_entries(192, 0);

/// As much of a buffer as a caught fault has.
#[repr(C)]
struct Caught {
    head: FaultHead,
    stack: [u8; STACK_BYTES_LATER as usize + 8],
}

/// Keeps what is in this CPU's buffer; 0: there is no room.
#[inline(always)]
pub fn keep() -> u32 {
    let Some(buffer) = buffer::buffer() else { return 0 };
    let tid = buffer.head.tid;
    let map = (&raw const CAUGHT).cast_mut().cast();
    // SAFETY: the buffer begins as the map's value does, and is longer.
    let failed = busy(|| unsafe {
        bpf_map_update_elem(map, (&raw const tid).cast(), core::ptr::from_mut(buffer).cast_const().cast(), 0)
    });
    u32::from(failed == 0)
}

/// The thread ends for another reason.
#[inline(always)]
pub fn forget(tid: u32) {
    // SAFETY: the value is not read.
    if unsafe { CAUGHT.get(&tid) }.is_some() {
        let _ = busy(|| CAUGHT.remove(&tid));
    }
}

/// The running thread ends.
#[inline(always)]
pub fn ended(tid: u32) {
    if global::crash_rows() != 0 {
        tell_caught(tid);
    }
}

/// Tells of the fault that the thread caught last. A global function: the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
fn tell_caught(tid: u32) -> u32 {
    let Some(caught) = CAUGHT.get_ptr_mut(&tid) else { return 0 };
    // SAFETY: the thread's own value, which only it writes; `bytes` is bounded by the mask.
    let sent = unsafe {
        if now_ns().wrapping_sub((*caught).head.time_ns) >= CAUGHT_NS {
            0
        } else {
            let bytes = (*caught).head.bytes & STACK_BYTES_LATER;
            let length = size_of::<FaultHead>() as u64 + u64::from(bytes);
            let ring = (&raw const FAULTS).cast_mut().cast();
            busy(|| bpf_ringbuf_output(ring, caught.cast(), length, u64::from(BPF_RB_FORCE_WAKEUP)))
        }
    };
    if sent != 0 {
        count(Outcome::FaultUntold, 1);
    }
    let _ = busy(|| CAUGHT.remove(&tid));
    0
}
