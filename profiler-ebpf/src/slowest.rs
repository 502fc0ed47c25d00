//! The slowest calls one by one: a small table per CPU and epoch, no events.
//!
//! In: a slow call whose parts are settled. Out: its place in `SLOWEST`, if it is longer than the shortest
//! there.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use profiler_common::part::PARTS;
use profiler_common::processor::ARGUMENTS;
use profiler_common::slowest::{KEPT, Slowest, waits_by_purpose, waits_for_thread};

use crate::global;
use crate::maps::SLOWEST;
use crate::state::Thread;

/// What tells one call from others of its kind.
pub struct One {
    pub nr: u32,
    pub wall_ns: u64,
    pub ret: i64,
    pub regs: u64,
    pub kernel: u64,
    pub user: u64,
}

/// Keeps the call if it is one of the slowest.
#[inline(never)]
pub fn keep(thread: &Thread, call: &One) -> u32 {
    let for_thread = waits_for_thread(call.nr);
    if waits_by_purpose(call.nr) && !for_thread {
        return 0;
    }
    let at = (global::epoch() & 1) + 2 * u32::from(for_thread);
    let Some(kept) = SLOWEST.get_ptr_mut(at) else { return 0 };
    // SAFETY: this CPU's own value.
    let kept = unsafe { &mut *kept };
    let mut place = 0;
    for index in 1..KEPT as u32 {
        place = shorter(kept, place, index);
    }
    let kept = &mut kept[place as usize & (KEPT - 1)];
    if call.wall_ns <= kept.wall_ns {
        return 0;
    }
    let ids = bpf_get_current_pid_tgid();
    // Field by field: a whole record is more than the stack has room for before Linux 6.12.
    kept.wall_ns = call.wall_ns;
    kept.enter_ns = thread.enter_ns;
    kept.ret = call.ret;
    for index in 0..ARGUMENTS.len() {
        read_argument(&mut kept.arguments[index], call.regs, ARGUMENTS[index]);
    }
    for part in 0..PARTS {
        kept.parts[part] = thread.parts.ns[part];
    }
    kept.kernel = call.kernel;
    kept.user = call.user;
    kept.tgid = (ids >> 32) as u32;
    kept.tid = ids as u32;
    kept.nr = call.nr;
    0
}

/// The place of the shorter of two calls. A function of its own: the compiler makes sixteen copies on the
/// stack of what it can see through.
#[inline(never)]
fn shorter(kept: &Slowest, one: u32, other: u32) -> u32 {
    let wall_ns = |place: u32| kept[place as usize & (KEPT - 1)].wall_ns;
    if wall_ns(other) < wall_ns(one) { other } else { one }
}

#[inline(always)]
fn read_argument(value: &mut u64, regs: u64, offset: u64) {
    // SAFETY: the helper checks the address, and writes to the map's value.
    unsafe { bpf_probe_read_kernel((value as *mut u64).cast(), 8, (regs + offset) as *const c_void) };
}
