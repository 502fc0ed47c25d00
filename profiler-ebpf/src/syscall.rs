//! `syscall` probe. Hooks: raw tracepoints `sys_enter`, `sys_exit`.
//!
//! Produces: latency rows per (process, call), errno counters, rows of slow calls by stacks.
//! The fast path of a call that stays on its CPU is this CPU's slot, one clock read and one row
//! look-up; a call that left the CPU, or is the first of a time slice, takes the thread's own state.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::outcome::Outcome;
use profiler_common::processor;
use profiler_common::stack::NO_STACK;
use profiler_common::syscall::{Slot, verdict};

use crate::call::{self, Ended};
use crate::clock::now_ns;
use crate::outcome::count;
use crate::state::{Parts, Thread, flag};
use crate::task::Task;
use crate::{global, off_cpu, process, restart, slice, slot, slow, target, task, thread, unmatched, unseen};

/// A thread enters a call. The CPU does not count: a call belongs to the CPU it ends on.
#[inline(always)]
pub fn enter(ctx: &RawTracePointContext) {
    if slot::is_outside() {
        return;
    }
    if let Some(slot) = slot::get() {
        enter_measured(ctx.as_ptr(), slot);
    }
}

/// A function of its own, so that calls outside the target do not pay for its registers and stack, nor
/// for reading the arguments.
#[inline(never)]
fn enter_measured(ctx: *mut c_void, slot: &mut Slot) -> u32 {
    let ctx = RawTracePointContext::new(ctx);
    let (regs, nr) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1));
    if slot.verdict == verdict::INSIDE {
        slot::enter(slot, nr as u32, now_ns());
    } else {
        enter_rare(slot, task::current(), (regs, nr as u32));
    }
    0
}

/// First call of a time slice, or the call after an interrupted one.
#[inline(always)]
fn enter_rare(slot: &mut Slot, task: Task, (regs, nr): (u64, u32)) {
    if !target::admits_running(task) {
        judge(slot, verdict::OUTSIDE);
        return;
    }
    let Some(thread) = thread::get_or_create(task) else { return };
    if global::follows_all() && thread.flags & flag::KNOWN == 0 && target::admits_this_cpu() {
        process::announce((bpf_get_current_pid_tgid() >> 32) as u32);
    }
    if thread.flags & flag::INTERRUPTED == 0 && usable() {
        thread.flags = flag::KNOWN;
        judge(slot, verdict::INSIDE);
        slot::enter(slot, nr, now_ns());
        return;
    }
    let now = now_ns();
    unseen::recover_before(thread, now);
    thread.nr = nr;
    thread.parts = Parts::NONE;
    thread.enter_ns = now;
    slice::begin(thread, thread.enter_ns, task::switches(task));
    if thread.flags & flag::INTERRUPTED != 0 {
        restart::at_enter(thread, regs);
    }
    thread.flags = (thread.flags | flag::KNOWN | flag::IN_CALL) & !flag::SEEDED;
}

/// Whether slots are used: `sched_switch` keeps them true, and the target's verdict holds for a time
/// slice, which one on names does not: exec and prctl change them.
#[inline(always)]
fn usable() -> bool {
    global::slots_usable() && global::comm_count() == 0
}

/// Notes the target's verdict on the running thread, for this time slice.
#[inline(always)]
fn judge(slot: &mut Slot, verdict: u32) {
    if !usable() {
        return;
    }
    let ids = bpf_get_current_pid_tgid();
    slot.in_call = 0;
    slot.tgid = (ids >> 32) as u32;
    slot.tid = ids as u32;
    slot::decide(slot, verdict);
}

/// A thread leaves its call.
#[inline(always)]
pub fn exit(ctx: &RawTracePointContext) {
    if slot::is_outside() {
        return;
    }
    if let Some(slot) = slot::get() {
        exit_measured(ctx.as_ptr(), slot);
    }
}

/// As [`enter_measured`].
#[inline(never)]
fn exit_measured(ctx: *mut c_void, slot: &mut Slot) -> u32 {
    let arguments = RawTracePointContext::new(ctx);
    let (regs, ret) = (arguments.arg::<u64>(0), arguments.arg::<u64>(1) as i64);
    if slot.verdict == verdict::INSIDE && slot.in_call != 0 {
        exit_slot(ctx, slot, (regs, ret));
    } else {
        exit_rare(ctx, slot, task::current(), (regs, ret));
    }
    0
}

/// A call that never left this CPU.
#[inline(always)]
fn exit_slot(ctx: *mut c_void, slot: &mut Slot, (regs, ret): (u64, i64)) {
    let now = now_ns();
    slot.in_call = 0;
    if restart::is_interruption(ret) {
        if let Some(thread) = thread::get(task::current()) {
            slot::save(slot, thread, task::switches(task::current()));
            interrupt(slot, thread, now, (regs, ret));
        }
        return;
    }
    let ended = Ended { tgid: slot.tgid, nr: slot.nr, latency_ns: now.wrapping_sub(slot.enter_ns), ret };
    if target::admits_this_cpu()
        && call::add(&ended)
        && let Some(thread) = thread::get(task::current())
    {
        slot::save(slot, thread, task::switches(task::current()));
        slice::ends(thread, task::current(), now);
        thread.flags = flag::KNOWN;
        slow::add(ctx, &ended, regs);
    }
}

/// A call that left the CPU, or none that was seen beginning.
#[inline(always)]
fn exit_rare(ctx: *mut c_void, slot: &mut Slot, task: Task, (regs, ret): (u64, i64)) {
    if !target::admits_running(task) {
        return;
    }
    let here = target::admits_this_cpu();
    let Some(thread) = thread::get(task) else {
        if here {
            unmatched::exit(regs, ret);
        }
        return;
    };
    let flags = thread.flags;
    if flags & (flag::IN_CALL | flag::SEEDED) != flag::IN_CALL {
        let seeded = flags & flag::SEEDED != 0;
        if seeded {
            thread.flags = flag::KNOWN;
        }
        if here && flags & flag::KNOWN == 0 {
            // The lock probe made this state: its calls were not seen yet.
            unmatched::exit(regs, ret);
        } else if here {
            count(if seeded { Outcome::InFlightAtAttach } else { Outcome::RefusedCall }, 1);
        }
        return;
    }
    let now = now_ns();
    thread.flags = flags & !flag::IN_CALL;
    if restart::is_interruption(ret) {
        off_cpu::settle(ctx, thread, NO_STACK);
        interrupt(slot, thread, now, (regs, ret));
        return;
    }
    if !here {
        return;
    }
    slice::ends(thread, task, now);
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let ended = Ended { tgid, nr: thread.nr, latency_ns: now.wrapping_sub(thread.enter_ns), ret };
    let user = if call::add(&ended) { slow::add(ctx, &ended, regs) } else { NO_STACK };
    off_cpu::settle(ctx, thread, user);
    if ended.nr == processor::RT_SIGRETURN {
        slow::add_failed(ctx, thread, &ended, regs);
    }
}

/// Puts an interrupted call aside; the slot forgets the thread, so that its next enter looks for it.
#[inline(always)]
fn interrupt(slot: &mut Slot, thread: &mut Thread, now: u64, (regs, ret): (u64, i64)) {
    thread.flags &= !flag::IN_CALL;
    slice::ends(thread, task::current(), now);
    slot::forget(slot);
    restart::at_exit(thread, now, regs, ret);
}
