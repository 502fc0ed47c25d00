//! The ends of waits for locks: seen by the contention tracepoint, or by programs on the slow path.
//!
//! In: a lock whose wait is over. Out: that wait, added to its row and its call, and closed.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use profiler_common::lock::flag;
use profiler_common::outcome::Outcome;
use profiler_state::lock_waits::Waits;

use crate::clock::now_ns;
use crate::lock::{part, row, spins};
use crate::outcome::{count, is_busy};
use crate::target::filter;
use crate::thread::record;
use crate::{global, task};

/// The lock's address if it can have a symbol, that is, if it is inside the kernel's static data.
#[inline(always)]
fn static_lock(lock: u64) -> u64 {
    if lock >= global::data_start() && lock < global::data_end() { lock } else { 0 }
}

/// The wait for `lock` ends: the contention tracepoint.
#[inline(always)]
pub fn end(lock: u64) {
    let now = now_ns();
    if let Some(spins) = spins::get() {
        if spins.is_timed(lock) {
            return;
        }
        if let Some(index) = ending(spins, lock) {
            spin_ended(index, now);
            return;
        }
    }
    if !record::get(task::current()).is_some_and(|thread| thread.waits.is_timed(lock)) {
        end_sleeping(lock, now);
    }
}

/// The wait for a spinning lock ends, told by its slow path.
#[inline(always)]
pub fn end_spinning(lock: u64, now: u64) {
    let Some(spins) = spins::get() else { return };
    match ending(spins, lock) {
        Some(index) => {
            spin_ended(index, now);
        }
        None => unmatched(),
    }
}

/// The running thread's wait for a sleeping lock ends.
#[inline(always)]
pub fn end_sleeping(lock: u64, now: u64) {
    match record::get(task::current()).and_then(|thread| ending(&thread.waits, lock)) {
        Some(index) => {
            sleep_ended(index, now);
        }
        None => unmatched(),
    }
}

/// This CPU's spin at `index` has ended. This and the next are global functions: the verifier walks each once, not once
/// for every `index` and caller.
#[unsafe(no_mangle)]
#[inline(never)]
fn spin_ended(index: u32, now: u64) -> u32 {
    if let Some(spins) = spins::get() {
        part::add_spin(spins.at(index as usize), now);
    }
    0
}

/// The running thread's wait at `index` has ended.
#[unsafe(no_mangle)]
#[inline(never)]
fn sleep_ended(index: u32, now: u64) -> u32 {
    if let Some(thread) = record::get(task::current()) {
        let wait = thread.waits.at(index as usize);
        if wait.kind.get() & flag::MUTEX != 0 && wait.own.get() == 0 {
            part::mutex_phase(false);
        }
        row::add(wait, now);
    }
    0
}

/// An end without a begin: the wait is outside the target, or it began before attach.
#[inline(always)]
fn unmatched() {
    if !is_busy() && filter::admits_current(task::current()) {
        count(Outcome::LockUnmatchedEnd, 1);
    }
}

/// The index of the running thread's wait for `lock`, which ends. The wait is closed once it is added to its row.
#[inline(always)]
fn ending(waits: &Waits, lock: u64) -> Option<u32> {
    let index = waits.ending(lock, bpf_get_current_pid_tgid() as u32)?;
    waits.at(index).named.set(static_lock(lock));
    Some(index as u32)
}
