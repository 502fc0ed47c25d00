//! `cpu` probe. Hook: perf event `cpu-clock` on every CPU.
//!
//! Produces: sample counts per (process, kernel stack, user stack); for a thread inside a call,
//! the stack of a call that never leaves the CPU.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use profiler_common::outcome::Outcome;
use profiler_common::sample::SampleKey;
use profiler_common::stack::NO_STACK;
use profiler_common::writer;

use crate::clock::now_ns;
use crate::maps::SAMPLES;
use crate::outcome::{busy, count};
use crate::stack::{self, Buffer};
use crate::state::flag;
use crate::task::Task;
use crate::{global, process, slot, target, task, thread};

/// The timer fired on this CPU.
#[inline(always)]
pub fn sample(ctx: *mut c_void) {
    let ids = bpf_get_current_pid_tgid();
    // The idle task burns nothing.
    if ids as u32 == 0 || !target::admits_current(task::current()) {
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
        stack::user(ctx, Buffer::Sample, tgid, slot::in_call(task::current()))
    };
    // SAFETY: the helper has no preconditions.
    let writer = writer(unsafe { bpf_get_smp_processor_id() }, global::epoch());
    add_row(&SampleKey { tgid, writer, kernel, user });
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
        return Some(slot.enter_ns);
    }
    let thread = thread::get(task)?;
    if thread.flags & flag::IN_CALL == 0 { None } else { Some(thread.enter_ns) }
}

/// Leaves the stack with the call.
#[inline(always)]
fn label(kernel: u64) {
    let task = task::current();
    if let Some(slot) = slot::calling() {
        slot.sample_stack = kernel;
    } else if let Some(thread) = thread::get(task) {
        thread.parts.sample_stack = kernel;
    }
}

#[inline(never)]
fn add_row(key: &SampleKey) -> u32 {
    if let Some(row) = SAMPLES.get_ptr_mut(key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe { *row += 1 };
        return 0;
    }
    if busy(|| SAMPLES.insert(key, &1, 0)).is_err() {
        count(Outcome::CpuRowFull, 1);
    }
    process::announce(key.tgid);
    0
}
