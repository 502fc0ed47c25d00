//! Exits without an enter: children of clone, calls that began before attach.
//!
//! In: the exit of a thread that was never seen entering. Out: the class it counts as.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use profiler_common::outcome::Outcome;
use profiler_common::processor;

use crate::outcome::count;
use crate::state::flag;
use crate::{global, task, thread};

/// An exit in a thread that was never seen entering.
#[inline(never)]
pub fn exit(regs: u64, ret: i64) -> u32 {
    let task = task::current();
    if ret == 0 && task::start_ns(task) >= global::attach_ns() && is_clone(regs) {
        count(Outcome::CloneChild, 1);
        if global::follows_all() {
            thread::get_or_create(task);
        }
        return 0;
    }
    // The first exit of an older thread: it was inside a call when we attached. Later ones have state.
    let born_before = task::start_ns(task) < global::attach_ns();
    count(if born_before { Outcome::InFlightAtAttach } else { Outcome::RefusedCall }, 1);
    if let Some(thread) = thread::get_or_create(task) {
        thread.flags = flag::KNOWN;
    }
    0
}

/// Whether the registers are those of a call that makes a thread.
#[inline(always)]
fn is_clone(regs: u64) -> bool {
    let mut nr = 0u64;
    // SAFETY: the helper checks the address.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut nr).cast(),
            8,
            (regs + processor::CALL_NUMBER as u64) as *const c_void,
        );
    }
    matches!(nr as u32, processor::CLONE | processor::FORK | processor::VFORK | processor::CLONE3)
}
