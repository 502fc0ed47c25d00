//! `lsm` probe. Hooks: functions of the kernel's security layer, by fentry/fexit or kprobe/kretprobe.
//! The two programs are loaded once per function (a site); the loader puts the site's numbers into them.
//!
//! Produces: time rows per (process, site, call), and stacks that stand for the time since the one
//! before. A thread's open functions are in a record of its own: they may sleep, nest, and be
//! interrupted by softirqs, which run others on top and return first.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use profiler_common::lsm::{SHORT_NS, begin_of, short_nr};
use profiler_common::outcome::Outcome;
use profiler_common::syscall::NO_CALL;

use crate::outcome::count;
use crate::state::flag;
use crate::{lsm_open, lsm_row, lsm_site, slot, target, task, thread};

/// The site's function is entered.
#[inline(always)]
pub fn enter() {
    let task = lsm_open::running();
    if lsm_site::is_filtered() {
        lsm_site::cold();
        if !is_of_target() {
            return;
        }
    }
    let place = lsm_open::place(task);
    let begin = match if place.is_of(task) { place.push() } else { None } {
        Some(begin) => begin,
        None => match lsm_open::take(task).and_then(|place| place.push()) {
            Some(begin) => begin,
            None => return,
        },
    };
    // SAFETY: a place in the record. The helper has no preconditions.
    unsafe { begin.write_volatile(begin_of(bpf_ktime_get_ns(), lsm_site::begin_tag())) };
}

/// The site's function returns.
#[inline(always)]
pub fn exit(ctx: *mut c_void) {
    let task = lsm_open::running();
    let place = lsm_open::place(task);
    if !place.is_of(task) {
        return unmatched();
    }
    let tgid = place.tgid();
    let Some(begin) = place.pop() else { return unmatched() };
    // SAFETY: the helper has no preconditions.
    let mut ns = begin_of(unsafe { bpf_ktime_get_ns() }, lsm_site::begin_tag()).wrapping_sub(begin);
    if ns >= SHORT_NS {
        ns = lsm_open::search(ns, begin);
        if ns == u64::MAX {
            return unmatched();
        }
    }
    lsm_row::add(ctx, tgid, ns);
}

#[inline(never)]
fn is_of_target() -> bool {
    target::admits_process((bpf_get_current_pid_tgid() >> 32) as u32)
}

/// A return without its enter: not the target's, begun before attach, or its enter was skipped.
#[cold]
#[inline(never)]
fn unmatched() {
    if is_of_target() {
        count(Outcome::LsmUnmatchedReturn, 1);
    }
}

/// The call the running thread is in, as a row's key has it.
#[inline(never)]
pub fn nr() -> u16 {
    short_nr(current_call())
}

/// The call the running thread is in.
#[inline(always)]
fn current_call() -> u32 {
    if let Some(slot) = slot::calling() {
        return slot.nr;
    }
    match thread::get(task::current()) {
        Some(thread) if thread.flags & flag::IN_CALL != 0 => thread.nr,
        _ => NO_CALL,
    }
}
