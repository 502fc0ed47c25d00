//! CPU samples.
//!
//! In: the timer on a CPU. Out: counts per (process, kernel stack, user stack); and the stack of a
//! call that never leaves the CPU.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::outcome::Outcome;
use profiler_common::sample::SampleKey;
use profiler_common::stack::NO_STACK;

use crate::clock::now_ns;
use crate::peer;
use crate::process::announce;
use crate::row::sum;
use crate::row::writer::this_writer;
use crate::stack::buffer::Buffer;
use crate::target::filter;
use crate::task::{self, Task};
use crate::thread::{record, slot};
use crate::{global, stack};

/// CPU samples.
#[map]
static SAMPLES: HashMap<SampleKey, u64> = HashMap::with_max_entries(32_768, 0);

/// The timer fired on this CPU.
#[inline(always)]
pub fn sample(ctx: *mut c_void) {
    let ids = bpf_get_current_pid_tgid();
    // The idle task burns nothing.
    if ids as u32 == 0 || !filter::admits_current(task::current()) {
        return;
    }
    let in_slow_call = in_slow_call();
    if global::cpu_rows() == 0 && !in_slow_call {
        return;
    }
    let kernel = stack::kernel(ctx, Buffer::Sample);
    if in_slow_call && kernel != NO_STACK {
        label(kernel);
    }
    if global::cpu_rows() == 0 {
        return;
    }
    let tgid = (ids >> 32) as u32;
    let user = if task::is_kernel_thread(task::current()) {
        NO_STACK
    } else {
        let in_call = slot::in_call(task::current());
        stack::copy::of_sample(ctx, Buffer::Sample, tgid, in_call)
    };
    let key = SampleKey { tgid, writer: this_writer(), kernel, user };
    add_row(&key);
    if peer::sample::are_wanted() {
        peer::sample::add(&key);
    }
}

/// Whether the running thread has been inside a call for a good part of the threshold.
#[inline(always)]
fn in_slow_call() -> bool {
    if global::syscall_rows() == 0 {
        return false;
    }
    let Some(enter_ns) = enter_ns(task::current()) else { return false };
    now_ns().saturating_sub(enter_ns) >= global::wait_min_ns()
}

/// When the thread entered the call it is in.
#[inline(always)]
fn enter_ns(task: Task) -> Option<u64> {
    if let Some(slot) = slot::calling() {
        return Some(slot.enter_ns.get());
    }
    let thread = record::get(task)?;
    if thread.in_call() { Some(thread.enter_ns.get()) } else { None }
}

/// Leaves the stack with the call.
#[inline(always)]
fn label(kernel: u64) {
    let task = task::current();
    if let Some(slot) = slot::calling() {
        slot.sample_stack.set(kernel);
    } else if let Some(thread) = record::get(task) {
        thread.parts.sample_stack.set(kernel);
    }
}

#[inline(never)]
fn add_row(key: &SampleKey) -> u32 {
    if sum::add(&SAMPLES, key, &1, (Outcome::CpuRowFull, 1), |samples| *samples += 1) {
        announce::process(key.tgid);
    }
    0
}
