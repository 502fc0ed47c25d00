//! A thread enters a call.
//!
//! In: its number and registers. Out: this CPU's slot, which holds the call as long as the thread stays on the CPU. The first call of a
//! time slice, and calls that a slot cannot hold, look at the thread's own record.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::syscall::verdict;
use profiler_state::call;
use profiler_state::slot::Slot;
use profiler_state::thread::flag;

use crate::clock::now_ns;
use crate::global;
use crate::held::held;
use crate::process::announce;
use crate::syscall::{asked, interrupted};
use crate::target::filter;
use crate::task::{self, Task};
use crate::thread::world::Of;
use crate::thread::{record, slot};

/// A thread enters a call. The CPU does not count: a call belongs to the CPU it ends on.
#[inline(always)]
pub fn enter(ctx: &RawTracePointContext) {
    if slot::is_outside() {
        return;
    }
    held(|| {
        if let Some(slot) = slot::get() {
            enter_measured(ctx.as_ptr(), slot);
        }
    });
}

/// A function of its own, so that calls outside the target do not pay for its registers and stack, nor
/// for reading the arguments.
#[inline(never)]
fn enter_measured(ctx: *mut c_void, slot: &Slot) -> u32 {
    let ctx = RawTracePointContext::new(ctx);
    let (regs, nr) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1));
    if slot.verdict.get() == verdict::INSIDE {
        slot.enter(asked::next(nr), now_ns());
    } else {
        let task = task::current();
        enter_rare(slot, task, (regs, asked::first(task, nr)));
    }
    0
}

/// First call of a time slice, or the call after an interrupted one.
#[inline(always)]
fn enter_rare(slot: &Slot, task: Task, (regs, nr): (u64, u32)) {
    if !filter::admits_running(task) {
        judge(slot, verdict::OUTSIDE);
        return;
    }
    let Some(thread) = record::get_or_create(task) else { return };
    let unseen = global::follows_all() && !thread.is(flag::KNOWN);
    // Whose calls began before attach is known as a thread, and not yet as a process.
    if (unseen || global::crash_rows() != 0) && filter::admits_this_cpu() {
        announce::process((bpf_get_current_pid_tgid() >> 32) as u32);
    }
    let restarts = thread.is(flag::INTERRUPTED) && interrupted::goes_on(thread, nr, regs);
    if !thread.is(flag::INTERRUPTED) && usable() && asked::holds_for_slice(nr) {
        thread.flags.set(flag::KNOWN);
        judge(slot, verdict::INSIDE);
        slot.enter(nr, now_ns());
        return;
    }
    call::begins(&Of(task), thread, (nr, now_ns()), restarts);
}

/// Whether slots are used: `sched_switch` keeps them true, and the target's verdict holds for a time
/// slice, which one on names does not: exec and prctl change them.
#[inline(always)]
fn usable() -> bool {
    global::slots_usable() && !global::by_name()
}

/// Notes the target's verdict on the running thread, for this time slice.
#[inline(always)]
fn judge(slot: &Slot, verdict: u32) {
    if !usable() {
        return;
    }
    let ids = bpf_get_current_pid_tgid();
    slot.in_call.set(0);
    slot.tgid.set((ids >> 32) as u32);
    slot.tid.set(ids as u32);
    slot::decide(slot, verdict);
}
