//! The last calls that ended on each CPU, for a thread that dies.
//!
//! In: each call that ends. Out: a ring for each CPU, which user space reads when somebody died. A call pays
//! for one look-up and a few stores, and for nothing if nobody asked for its last calls.

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use profiler_common::crash::{CALLS_REMEMBERED, CallRing, LastCall};

use crate::global;

/// By CPU.
#[map]
static LAST_CALLS: Array<CallRing> = Array::with_max_entries(1, 0);

/// A call of the running thread ended.
#[inline(always)]
pub fn note(tid: u32, (nr, ret): (u32, i64), (end_ns, ns): (u64, u64)) {
    if global::last_calls() != 0 {
        note_call(u64::from(tid) << 32 | u64::from(nr), ret, end_ns, ns);
    }
}

/// A global function: what it needs of the stack is not below the other functions of a call's end.
#[unsafe(no_mangle)]
#[inline(never)]
fn note_call(who: u64, ret: i64, end_ns: u64, ns: u64) -> u32 {
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let Some(ring) = LAST_CALLS.get_ptr_mut(cpu) else { return 0 };
    // SAFETY: this CPU's own value, written here only; the mask bounds the position.
    unsafe {
        let at = (*ring).next as usize & (CALLS_REMEMBERED - 1);
        (*ring).calls[at] = LastCall { end_ns, ns, ret, tid: (who >> 32) as u32, nr: who as u32 };
        (*ring).next = at as u64 + 1;
    }
    0
}
