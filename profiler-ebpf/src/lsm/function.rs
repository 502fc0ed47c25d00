//! Functions of the security layer are entered and return. The two programs are loaded once per function (a site); the
//! loader puts the site's numbers into them.
//!
//! In: an entry or return. Out: the time between them, for its row. A thread's open functions are in a record
//! of its own: the functions may sleep, nest, and be interrupted by softirqs, whose own functions run on top
//! and return first.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use profiler_common::lsm::{SHORT_NS, begin_of};
use profiler_common::outcome::Outcome;

use crate::clock::now_ns;
use crate::lsm::{open, row, site};
use crate::outcome::count;
use crate::target::filter;

/// The site's function is entered.
#[inline(always)]
pub fn enter() {
    let task = open::running();
    if site::is_filtered() {
        site::cold();
        if !is_of_target() {
            return;
        }
    }
    let place = open::place(task);
    let begin = match if place.is_of(task) { place.push() } else { None } {
        Some(begin) => begin,
        None => match open::take(task).and_then(|place| place.push()) {
            Some(begin) => begin,
            None => return,
        },
    };
    begin.set(begin_of(now_ns(), site::begin_tag()));
}

/// The site's function returns.
#[inline(always)]
pub fn exit(ctx: *mut c_void) {
    let task = open::running();
    let place = open::place(task);
    if !place.is_of(task) {
        return unmatched();
    }
    let tgid = place.tgid();
    let Some(begin) = place.pop() else { return unmatched() };
    let mut ns = begin_of(now_ns(), site::begin_tag()).wrapping_sub(begin);
    if ns >= SHORT_NS {
        ns = open::search(ns, begin);
        if ns == u64::MAX {
            return unmatched();
        }
    }
    row::add(ctx, tgid, ns);
}

#[inline(never)]
fn is_of_target() -> bool {
    filter::admits_process((bpf_get_current_pid_tgid() >> 32) as u32)
}

/// A return without its enter: not the target's, begun before attach, or its enter was skipped.
#[cold]
#[inline(never)]
fn unmatched() {
    if is_of_target() {
        count(Outcome::LsmUnmatchedReturn, 1);
    }
}
