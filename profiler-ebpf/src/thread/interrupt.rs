//! Interrupts and softirqs on top of a call.
//!
//! In: their entries and exits. Out: the part of the call that they take. The outermost one is timed, including all that
//! run on top of it. It is not timed if the thread is outside the target, is in no call, or spins: then it is spin time.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use profiler_common::part::Part;
use profiler_state::field::Field;

use crate::clock::now_ns;
use crate::lock::spins;
use crate::task;
use crate::thread::{record, slot};

/// The interrupts that run on top of each CPU's thread.
#[map]
static INTERRUPTS: PerCpuArray<Interrupt> = PerCpuArray::with_max_entries(1, 0);

/// The interrupts on top of the thread on this CPU. Programs that change this interrupt each other.
#[repr(C)]
struct Interrupt {
    /// When the outermost began, ns; 0: it is not timed.
    begin_ns: Field<u64>,
    /// How many there are.
    depth: Field<u32>,
    /// The thread below.
    tid: Field<u32>,
}

#[inline(always)]
fn interrupt() -> Option<&'static Interrupt> {
    // SAFETY: this CPU's own value, for good. All its words are fields that may be shared.
    INTERRUPTS.get_ptr(0).map(|interrupt| unsafe { &*interrupt })
}

/// One begins.
#[inline(always)]
pub fn enter() {
    if slot::is_outside() {
        return;
    }
    let Some(interrupt) = interrupt() else { return };
    let tid = bpf_get_current_pid_tgid() as u32;
    let depth = interrupt.depth.get();
    // A thread in between: an exit was never seen, or softirqs can be preempted here (`PREEMPT_RT`).
    if depth == 0 || interrupt.tid.get() != tid {
        let timed = slot::in_call(task::current()) && !spins::any_of(tid);
        interrupt.begin_ns.set(if timed { now_ns() } else { 0 });
        interrupt.tid.set(tid);
        interrupt.depth.set(1);
    } else {
        interrupt.depth.set(depth.wrapping_add(1));
    }
}

/// One ends.
#[inline(always)]
pub fn exit() {
    if slot::is_outside() {
        return;
    }
    let Some(interrupt) = interrupt() else { return };
    let depth = interrupt.depth.get();
    if depth == 0 || interrupt.tid.get() != bpf_get_current_pid_tgid() as u32 {
        return;
    }
    interrupt.depth.set(depth - 1);
    let begin_ns = interrupt.begin_ns.get();
    if depth == 1 && begin_ns != 0 {
        add(now_ns().saturating_sub(begin_ns));
    }
}

/// Adds to the call of the thread below.
#[inline(always)]
fn add(ns: u64) {
    if let Some(slot) = slot::calling() {
        slot.irq_ns.add(ns);
    } else if let Some(thread) = record::get(task::current())
        && thread.in_call()
        && thread.slice.spin_ns.get() == 0
    {
        thread.parts.add(Part::Irq, ns);
    }
}
