//! Interrupts and softirqs on top of a call. Hooks: raw tracepoints of their entries and exits.
//!
//! Produces: the part of the call that they take. An outermost one is timed, with all that runs on top of it; none is
//! where the thread is outside the target or of calls. Time within a spin stays with the spin.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use profiler_common::part::Part;

use crate::clock::now_ns;
use crate::maps::{INTERRUPTS, SPINS};
use crate::state::{NESTING, flag};
use crate::{slot, task, thread};

/// What runs on top of the thread on this CPU.
#[repr(C)]
pub struct Interrupt {
    /// When the outermost began, ns; 0: it is not timed.
    begin_ns: u64,
    /// How many there are.
    depth: u32,
    /// The thread below.
    tid: u32,
}

/// One begins.
#[inline(always)]
pub fn enter() {
    if slot::is_outside() {
        return;
    }
    let Some(interrupt) = INTERRUPTS.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own value.
    let interrupt = unsafe { &mut *interrupt };
    let tid = bpf_get_current_pid_tgid() as u32;
    // A thread in between: an exit was never seen, or softirqs can be preempted here (`PREEMPT_RT`).
    if interrupt.depth == 0 || interrupt.tid != tid {
        let timed = slot::in_call(task::current()) && !spins(tid);
        *interrupt = Interrupt { begin_ns: if timed { now_ns() } else { 0 }, depth: 0, tid };
    }
    interrupt.depth += 1;
}

/// One ends.
#[inline(always)]
pub fn exit() {
    if slot::is_outside() {
        return;
    }
    let Some(interrupt) = INTERRUPTS.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own value.
    let interrupt = unsafe { &mut *interrupt };
    if interrupt.depth == 0 || interrupt.tid != bpf_get_current_pid_tgid() as u32 {
        return;
    }
    interrupt.depth -= 1;
    if interrupt.depth == 0 && interrupt.begin_ns != 0 {
        add(now_ns().saturating_sub(interrupt.begin_ns));
    }
}

/// Whether the running thread spins on a lock.
#[inline(always)]
fn spins(tid: u32) -> bool {
    let Some(spins) = SPINS.get_ptr(0) else { return false };
    // SAFETY: this CPU's own value.
    let spins = unsafe { &*spins };
    for index in 0..NESTING {
        if spins[index].lock != 0 && spins[index].in_task != 0 && spins[index].tid == tid {
            return true;
        }
    }
    false
}

/// Adds to the call of the thread below.
#[inline(always)]
fn add(ns: u64) {
    if let Some(slot) = slot::calling() {
        slot.irq_ns += ns;
    } else if let Some(thread) = thread::get(task::current())
        && thread.flags & flag::IN_CALL != 0
        && thread.slice.spin_ns == 0
    {
        thread.parts.ns[Part::Irq as usize] += ns;
    }
}
