//! Slow calls: their rows by stacks, and by part of their wall time.
//!
//! In: a call at or above the threshold that ended, with its parts in the thread's record. Out: the rows of
//! `SLOW` and `PARTS`. In each of them the parts, `unaccounted` among them, add up to the wall time.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use profiler_common::outcome::Outcome;
use profiler_common::part::{PARTS, Part, PartKey, PartRow};
use profiler_common::processor;
use profiler_common::stack::NO_STACK;
use profiler_common::syscall::{SlowKey, SlowRow, source};
use profiler_common::writer;

use crate::call::{self, Ended};
use crate::maps::{PARTS as PART_ROWS, SLOW};
use crate::outcome::{busy, count};
use crate::slowest::{self, One};
use crate::stack::{self, Buffer};
use crate::state::{Parts, Thread, wait};
use crate::{global, restart, task, thread};

/// Adds a slow call, whose parts are in the thread's record, with the user stack that made it: that one.
#[inline(always)]
pub fn add(ctx: *mut c_void, ended: &Ended, regs: u64) -> u64 {
    // After these three the registers are not those of the code that made the call.
    let in_call = !matches!(ended.nr, processor::RT_SIGRETURN | processor::EXECVE | processor::EXECVEAT);
    let user = stack::user(ctx, Buffer::Call, ended.tgid, in_call);
    add_slow(ended.nr, ended.latency_ns, user, regs, ended.ret);
    user
}

/// A signal handler ends: the call it interrupted may fail with that, `rt_sigreturn` itself never does.
#[inline(always)]
pub fn add_failed(ctx: *mut c_void, thread: &mut Thread, ended: &Ended, regs: u64) {
    if let Some(failed) = restart::at_sigreturn(thread, ended.tgid, regs, ended.ret) {
        if call::add(&failed) {
            (thread.parts, thread.enter_ns) = (thread.interrupted.parts, thread.interrupted.enter_ns);
            // The registers are the failed call's again, and so is the user stack.
            add(ctx, &failed, regs);
        }
    }
}

/// Adds the running thread's call to its rows. A global function: the verifier walks it once, not once for
/// every way a call can end.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn add_slow(nr: u32, wall_ns: u64, user: u64, regs: u64, ret: i64) -> u32 {
    let Some(thread) = thread::get(task::current()) else {
        count(Outcome::ThreadStateFull, 1);
        return 0;
    };
    let parts = &mut thread.parts;
    settle(parts, wall_ns);
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: the helper has no preconditions.
    let writer = writer(unsafe { bpf_get_smp_processor_id() }, global::epoch());
    let (kernel, source) = telling_stack(parts);
    add_row(&SlowKey { tgid, nr, kernel, user, source, writer }, wall_ns, parts);
    add_parts(parts, &mut PartKey { tgid, nr, kernel: NO_STACK, part: 0, writer });
    slowest::keep(thread, &One { nr, wall_ns, ret, regs, kernel, user });
    0
}

/// Adds every part to its row. A function of its own, as the others here: what they need of the stack adds up
/// along the calls only, and 512 bytes are all there is.
#[inline(never)]
fn add_parts(parts: &Parts, key: &mut PartKey) -> u32 {
    for part in 0..PARTS {
        if parts.ns[part] != 0 {
            (key.kernel, key.part) = (stack_of(parts, part), part as u32);
            add_part(key, parts.ns[part]);
        }
    }
    0
}

/// Takes spinning and interrupts out of the time on the CPU, and finds what is left over.
#[inline(never)]
fn settle(parts: &mut Parts, wall_ns: u64) -> u32 {
    let on_cpu = parts.ns[Part::OnCpu as usize];
    let others = parts.ns[Part::Spin as usize] + parts.ns[Part::Irq as usize];
    parts.ns[Part::OnCpu as usize] = on_cpu.saturating_sub(others);
    let mut sum = 0;
    for part in 0..Part::Unaccounted as usize {
        sum += parts.ns[part];
    }
    // An interrupt that came between the end of the call and our note of it.
    let late = sum.saturating_sub(wall_ns);
    if late != 0 && late <= parts.ns[Part::Irq as usize] {
        parts.ns[Part::Irq as usize] -= late;
        sum = wall_ns;
    }
    if sum > wall_ns {
        count(Outcome::PartsImplausible, 1);
        parts.ns = [0; PARTS];
        sum = 0;
    }
    parts.ns[Part::Unaccounted as usize] = wall_ns - sum;
    0
}

/// The stack that shows most of a call: its longest wait, else its longest spin or latest sample.
#[inline(always)]
fn telling_stack(parts: &Parts) -> (u64, u32) {
    let (mut longest, mut stack) = (0, NO_STACK);
    for kind in 0..wait::KINDS {
        if parts.longest_ns[kind] > longest {
            (longest, stack) = (parts.longest_ns[kind], parts.wait_stacks[kind]);
        }
    }
    if stack != NO_STACK {
        (stack, source::WAIT)
    } else if parts.spin_stack != NO_STACK && parts.ns[Part::Spin as usize] > parts.ns[Part::OnCpu as usize] {
        (parts.spin_stack, source::SPIN)
    } else if parts.sample_stack != NO_STACK {
        (parts.sample_stack, source::SAMPLE)
    } else {
        (NO_STACK, source::NONE)
    }
}

/// The stack that shows one part.
#[inline(always)]
fn stack_of(parts: &Parts, part: usize) -> u64 {
    if part == Part::OnCpu as usize {
        parts.sample_stack
    } else if part == Part::Spin as usize {
        parts.spin_stack
    } else if part == Part::LockSleep as usize {
        parts.lock_stack
    } else if part == Part::Sleep as usize {
        parts.wait_stacks[wait::SLEEP as usize]
    } else if part == Part::Preempted as usize || part == Part::Throttled as usize {
        parts.wait_stacks[wait::RUNNABLE as usize]
    } else {
        NO_STACK
    }
}

#[inline(never)]
fn add_row(key: &SlowKey, wall_ns: u64, parts: &Parts) -> u32 {
    if let Some(row) = SLOW.get_ptr_mut(key) {
        // SAFETY: this CPU is the row's only writer.
        let row = unsafe { &mut *row };
        row.count += 1;
        row.total_ns += wall_ns;
        if wall_ns > row.max_ns {
            row.max_ns = wall_ns;
        }
        for part in 0..PARTS {
            row.parts[part] += parts.ns[part];
        }
        return 0;
    }
    let row = SlowRow { count: 1, total_ns: wall_ns, max_ns: wall_ns, parts: parts.ns };
    if busy(|| SLOW.insert(key, &row, 0)).is_err() {
        count(Outcome::SlowRowFull, 1);
    }
    0
}

#[inline(never)]
fn add_part(key: &PartKey, ns: u64) -> u32 {
    if let Some(row) = PART_ROWS.get_ptr_mut(key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe {
            (*row).ns += ns;
            (*row).calls += 1;
        }
        return 0;
    }
    if busy(|| PART_ROWS.insert(key, &PartRow { ns, calls: 1 }, 0)).is_err() {
        count(Outcome::PartRowFull, 1);
    }
    0
}
