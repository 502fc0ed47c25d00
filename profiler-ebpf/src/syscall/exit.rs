//! A thread leaves its call.
//!
//! In: what the call returned, and its registers. Out: rows of calls; slow ones go on to `slow`. The fast path of a call that
//! stayed on its CPU is this CPU's slot, one clock read and one row look-up. A call that left the CPU takes the thread's own
//! record.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::abi::{is_exec, is_sigreturn};
use profiler_common::outcome::Outcome;
use profiler_common::stack::NO_STACK;
use profiler_state::slot::Slot;
use profiler_state::thread::{Thread, flag};
use profiler_state::{call as state, restart};

use crate::clock::now_ns;
use crate::crash::calls;
use crate::held::held;
use crate::offcpu::blocked;
use crate::outcome::count;
use crate::peer;
use crate::syscall::call::{self, Ended};
use crate::syscall::{asked, interrupted, registers, slow, unmatched};
use crate::target::filter;
use crate::task::{self, Task};
use crate::thread::world::Of;
use crate::thread::{record, slot};

/// A thread leaves its call.
#[inline(always)]
pub fn exit(ctx: &RawTracePointContext) {
    if slot::is_outside() {
        return;
    }
    held(|| {
        if let Some(slot) = slot::get() {
            exit_measured(ctx.as_ptr(), slot);
        }
    });
}

/// A function of its own, as at the enter.
#[inline(never)]
fn exit_measured(ctx: *mut c_void, slot: &Slot) -> u32 {
    let arguments = RawTracePointContext::new(ctx);
    let (regs, ret) = (arguments.arg::<u64>(0), arguments.arg::<u64>(1) as i64);
    if slot.is_calling() {
        exit_slot(ctx, slot, (regs, ret));
    } else {
        exit_rare(ctx, slot, task::current(), (regs, ret));
    }
    0
}

/// A call that never left this CPU.
#[inline(always)]
fn exit_slot(ctx: *mut c_void, slot: &Slot, (regs, ret): (u64, i64)) {
    let now = now_ns();
    slot.in_call.set(0);
    if restart::is_interruption(ret) {
        let task = task::current();
        match record::get(task) {
            Some(thread) => {
                state::moves(&Of(task), thread, slot, task::switches(task));
                interrupt(slot, thread, now, (regs, ret));
            }
            None => count(Outcome::ThreadStateFull, 1),
        }
        return;
    }
    let enter_ns = slot.enter_ns.get();
    if now < enter_ns {
        return count(Outcome::PartsImplausible, 1);
    }
    let latency_ns = now - enter_ns;
    let ended = Ended { tgid: slot.tgid.get(), nr: slot.nr.get(), latency_ns, ret };
    calls::note(slot.tid.get(), (ended.nr, ret), (now, latency_ns));
    if filter::admits_this_cpu() && call::add(&ended) {
        let task = task::current();
        match record::get(task) {
            Some(thread) => {
                state::moves(&Of(task), thread, slot, task::switches(task));
                state::ends(&Of(task), thread, now);
                slow::add(ctx, &ended, regs);
            }
            None => count(Outcome::ThreadStateFull, 1),
        }
    }
}

/// A call that left the CPU, or none that was seen beginning.
#[inline(always)]
fn exit_rare(ctx: *mut c_void, slot: &Slot, task: Task, (regs, ret): (u64, i64)) {
    if !filter::admits_running(task) {
        return;
    }
    let here = filter::admits_this_cpu();
    let Some(thread) = record::get(task) else {
        if here {
            unmatched::exit(regs, ret);
        }
        return;
    };
    if thread.is(flag::UNTOLD) {
        state::told(thread, asked::of(task));
    }
    let flags = thread.flags.get();
    let seeded = flags & flag::SEEDED != 0;
    if here && seeded {
        count(Outcome::InFlightAtAttach, 1);
    }
    if flags & flag::IN_CALL == 0 {
        if here && flags & flag::KNOWN == 0 {
            // The lock probe made this state: its calls were not seen yet.
            unmatched::exit(regs, ret);
        } else if here {
            count(Outcome::RefusedCall, 1);
        }
        return;
    }
    let now = now_ns();
    if restart::is_interruption(ret) {
        blocked::settle(ctx, thread, NO_STACK);
        interrupt(slot, thread, now, (regs, ret));
        return;
    }
    state::ends(&Of(task), thread, now);
    let ids = bpf_get_current_pid_tgid();
    let enter_ns = thread.enter_ns.get();
    if now < enter_ns {
        return count(Outcome::PartsImplausible, 1);
    }
    let latency_ns = now - enter_ns;
    let ended = Ended { tgid: (ids >> 32) as u32, nr: thread.nr.get(), latency_ns, ret };
    calls::note(ids as u32, (ended.nr, ret), (now, latency_ns));
    if here && flags & flag::RECEIVED != 0 {
        peer::row::ended(ended.nr, latency_ns);
    }
    let user = if here && call::add(&ended) { slow::add(ctx, &ended, regs) } else { NO_STACK };
    // Its waits ended on CPUs of their own: they count also where the call ends on one that does not.
    blocked::settle(ctx, thread, user);
    if is_sigreturn(ended.nr) {
        // What it "returns" is that register.
        let next = asked::first(task, ret as u64);
        restart::at_sigreturn(thread, registers::stack_pointer(regs), next);
    } else if thread.is(flag::INTERRUPTED) && ret == 0 && is_exec(ended.nr) {
        interrupted::is_left(thread);
    }
}

/// Puts an interrupted call aside; the slot forgets the thread, so that its next enter looks for it.
#[inline(always)]
fn interrupt(slot: &Slot, thread: &Thread, now: u64, (regs, ret): (u64, i64)) {
    state::ends(&Of(task::current()), thread, now);
    slot::forget(slot);
    if let Some(over) = restart::at_exit(thread, now, registers::stack_pointer(regs), ret) {
        interrupted::is_displaced(&over);
    }
}
