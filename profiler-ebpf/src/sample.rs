//! `cpu` probe. Hook: perf event `cpu-clock` on every CPU.
//!
//! Produces: sample counts per (process, kernel stack, user stack); for a thread inside a call,
//! the stack of a call that never leaves the CPU.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use profiler_common::outcome::Outcome;
use profiler_common::sample::SampleKey;
use profiler_common::stack::NO_STACK;
use profiler_common::writer;

use crate::maps::SAMPLES;
use crate::outcome::{busy, count};
use crate::stack::{self, Buffer};
use crate::thread::{self, flag};
use crate::{global, process, target, task};

/// The timer fired on this CPU.
#[inline(always)]
pub fn sample(ctx: *mut c_void) {
    let ids = bpf_get_current_pid_tgid();
    // The idle task burns nothing.
    if ids as u32 == 0 || !target::admits_current() {
        return;
    }
    let call = in_slow_call();
    if global::cpu_rows() == 0 && call.is_none() {
        return;
    }
    let kernel = stack::kernel(ctx, Buffer::Sample);
    if let Some(thread) = call {
        if kernel != NO_STACK {
            thread.parts.sample_stack = kernel;
        }
    }
    if global::cpu_rows() == 0 {
        return;
    }
    let tgid = (ids >> 32) as u32;
    let user = if task::is_kernel_thread(task::current()) {
        NO_STACK
    } else {
        stack::user(ctx, Buffer::Sample, tgid, thread::in_call())
    };
    // SAFETY: the helper has no preconditions.
    let writer = writer(unsafe { bpf_get_smp_processor_id() }, global::epoch());
    add_row(&SampleKey { tgid, writer, kernel, user });
}

/// The thread, when it has been inside a call for a good part of the threshold.
#[inline(always)]
fn in_slow_call() -> Option<&'static mut thread::Thread> {
    if global::syscall_rows() == 0 {
        return None;
    }
    let thread = thread::get(task::current())?;
    if thread.flags & flag::IN_CALL == 0 {
        return None;
    }
    // SAFETY: the helper has no preconditions.
    let age_ns = unsafe { bpf_ktime_get_ns() }.saturating_sub(thread.enter_ns);
    (age_ns >= global::wait_min_ns()).then_some(thread)
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
