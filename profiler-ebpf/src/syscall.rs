//! `syscall` probe. Hooks: raw tracepoints `sys_enter`, `sys_exit`.
//!
//! Produces: latency rows per (process, call), errno counters, rows of slow calls by stacks.
//! The fast path is one storage look-up, one clock read and one row look-up.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use profiler_common::histogram::{SLOTS, octave, slot};
use profiler_common::outcome::Outcome;
use profiler_common::stack::NO_STACK;
use profiler_common::syscall::{ErrorKey, LatencyKey, LatencyRow, SlowKey, SlowRow, source};
use profiler_common::writer;

use crate::maps::{ERRORS, LATENCY, SLOW};
use crate::outcome::{busy, count};
use crate::stack::{self, Buffer};
use crate::thread::{Thread, flag};
use crate::{global, process, restart, target, task, thread};

/// A call that ended: what its rows need.
pub struct Ended {
    pub tgid: u32,
    pub nr: u32,
    pub latency_ns: u64,
    pub ret: i64,
}

/// A thread enters call `nr`. The CPU does not count: a call belongs to the CPU it ends on.
#[inline(always)]
pub fn enter(nr: u64) {
    if !target::admits_current_task() {
        return;
    }
    let Some(thread) = thread::get_or_create(task::current()) else { return };
    let flags = thread.flags;
    thread.nr = nr as u32;
    thread.off_cpu_ns = 0;
    thread.longest_ns = 0;
    thread.wait_stack = NO_STACK;
    thread.sample_stack = NO_STACK;
    // SAFETY: the helper has no preconditions.
    thread.enter_ns = unsafe { bpf_ktime_get_ns() };
    if flags & (flag::INTERRUPTED | flag::KNOWN) == flag::KNOWN {
        thread.flags = flag::KNOWN | flag::IN_CALL;
        return;
    }
    enter_rare(thread);
}

/// First call of a thread, or the call after an interrupted one.
#[inline(never)]
fn enter_rare(thread: &mut Thread) -> u32 {
    if thread.flags & flag::INTERRUPTED != 0 {
        restart::at_enter(thread);
    }
    thread.flags = (thread.flags | flag::KNOWN | flag::IN_CALL) & !flag::SEEDED;
    0
}

/// A thread leaves its call with `ret`.
#[inline(always)]
pub fn exit(ctx: *mut c_void, regs: u64, ret: i64) {
    if !target::admits_current_task() {
        return;
    }
    let here = target::admits_this_cpu();
    let Some(thread) = thread::get(task::current()) else {
        if here {
            unmatched(regs, ret);
        }
        return;
    };
    let flags = thread.flags;
    if flags & (flag::IN_CALL | flag::SEEDED) != flag::IN_CALL {
        let seeded = flags & flag::SEEDED != 0;
        if seeded {
            thread.flags = flag::KNOWN;
        }
        if here {
            count(if seeded { Outcome::InFlightAtAttach } else { Outcome::RefusedCall }, 1);
        }
        return;
    }
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    thread.flags = flags & !flag::IN_CALL;
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let ended = Ended { tgid, nr: thread.nr, latency_ns: now.wrapping_sub(thread.enter_ns), ret };
    if ret < 0 && ret >= -4095 {
        if restart::is_interruption(ret) {
            restart::at_exit(thread, now, ret);
            return;
        }
        if here {
            add_error(&ended);
        }
    }
    if !here {
        return;
    }
    add_latency(&ended);
    if ended.latency_ns >= global::slow_ns() {
        add_slow(ctx, thread, &ended);
    }
}

/// An exit in a thread that was never seen entering.
#[inline(never)]
fn unmatched(regs: u64, ret: i64) -> u32 {
    let task = task::current();
    if ret == 0 && task::start_ns(task) >= global::attach_ns() && is_clone(regs) {
        count(Outcome::CloneChild, 1);
        return 0;
    }
    // An older thread was inside a call when we attached, or made some before `sys_enter` was.
    let born_before = task::start_ns(task) < global::attach_ns();
    count(if born_before { Outcome::InFlightAtAttach } else { Outcome::RefusedCall }, 1);
    0
}

/// Whether the registers are those of a call that makes a thread.
#[inline(always)]
fn is_clone(regs: u64) -> bool {
    const ORIG_AX: u64 = 15 * 8;
    let mut nr = 0u64;
    // SAFETY: the helper checks the address.
    unsafe {
        aya_ebpf::helpers::generated::bpf_probe_read_kernel(
            (&raw mut nr).cast(),
            8,
            (regs + ORIG_AX) as *const c_void,
        );
    }
    matches!(nr, 56 | 57 | 58 | 435)
}

#[inline(always)]
fn this_writer() -> u32 {
    // SAFETY: the helper has no preconditions.
    writer(unsafe { bpf_get_smp_processor_id() }, global::epoch())
}

/// Adds a latency to its row.
#[inline(always)]
pub fn add_latency(ended: &Ended) {
    let ns = ended.latency_ns;
    let key = LatencyKey {
        tgid: ended.tgid,
        nr: ended.nr as u16,
        octave: octave(ns),
        pad: 0,
        writer: this_writer(),
    };
    let index = slot(ns) & (SLOTS - 1);
    if let Some(row) = LATENCY.get_ptr_mut(&key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe {
            (*row).slots[index] += 1;
            (*row).total_ns += ns;
            if ns > (*row).max_ns {
                (*row).max_ns = ns;
            }
        }
        return;
    }
    new_latency_row(&key, index as u64, ns);
}

#[inline(never)]
fn new_latency_row(key: &LatencyKey, index: u64, ns: u64) -> u32 {
    let mut row = LatencyRow { slots: [0; SLOTS], total_ns: ns, max_ns: ns };
    row.slots[(index as usize) & (SLOTS - 1)] = 1;
    if busy(|| LATENCY.insert(key, &row, 0)).is_err() {
        count(Outcome::SyscallRowFull, 1);
    }
    process::announce(key.tgid);
    0
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

/// Adds a slow call, with the user stack that made it and the kernel stack taken during it.
#[inline(always)]
fn add_slow(ctx: *mut c_void, thread: &Thread, ended: &Ended) {
    let (kernel, source) = if thread.wait_stack != NO_STACK {
        (thread.wait_stack, source::WAIT)
    } else if thread.sample_stack != NO_STACK {
        (thread.sample_stack, source::SAMPLE)
    } else {
        (NO_STACK, source::NONE)
    };
    let user = stack::user(ctx, Buffer::Call, ended.tgid);
    let key = SlowKey { tgid: ended.tgid, nr: ended.nr, kernel, user, source, writer: this_writer() };
    let off_cpu_ns = thread.off_cpu_ns;
    add_slow_row(&key, ended.latency_ns, off_cpu_ns);
}

#[inline(never)]
fn add_slow_row(key: &SlowKey, ns: u64, off_cpu_ns: u64) -> u32 {
    if let Some(row) = SLOW.get_ptr_mut(key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe {
            (*row).count += 1;
            (*row).total_ns += ns;
            (*row).off_cpu_ns += off_cpu_ns;
            if ns > (*row).max_ns {
                (*row).max_ns = ns;
            }
        }
        return 0;
    }
    let row = SlowRow { count: 1, total_ns: ns, max_ns: ns, off_cpu_ns };
    if busy(|| SLOW.insert(key, &row, 0)).is_err() {
        count(Outcome::SlowRowFull, 1);
    }
    0
}
