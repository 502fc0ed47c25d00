//! The ends of waits for locks, however they are seen. Hooks: those of `lock` and `slow_path`.
//!
//! In: a lock whose wait is over. Out: that wait, closed, and added to its row and its call.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use profiler_common::lock::flag;
use profiler_common::outcome::Outcome;

use crate::clock::now_ns;
use crate::maps::SPINS;
use crate::outcome::{count, is_busy};
use crate::state::{NESTING, TIMED, Wait};
use crate::{global, lock_part, target, task, thread, wait};

/// The lock's address where it can have a symbol: inside the kernel's static data.
#[inline(always)]
fn static_lock(lock: u64) -> u64 {
    if lock >= global::data_start() && lock < global::data_end() { lock } else { 0 }
}

/// The wait for `lock` ends: the contention tracepoint.
#[inline(always)]
pub fn end(lock: u64) {
    let now = now_ns();
    if let Some(spins) = SPINS.get_ptr_mut(0) {
        // SAFETY: this CPU's own value.
        let spins = unsafe { &mut *spins };
        if is_timed(spins, lock) {
            return;
        }
        if let Some(index) = close(spins, lock) {
            spin_ended(index, now);
            return;
        }
    }
    if !thread::get(task::current()).is_some_and(|thread| is_timed(&thread.waits, lock)) {
        end_sleeping(lock, now);
    }
}

/// The wait for a spinning lock ends, told by its slow path.
#[inline(always)]
pub fn end_spinning(lock: u64, now: u64) {
    let Some(spins) = SPINS.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own value.
    match close(unsafe { &mut *spins }, lock) {
        Some(index) => {
            spin_ended(index, now);
        }
        None => unmatched(),
    }
}

/// The running thread's wait for a sleeping lock ends.
#[inline(always)]
pub fn end_sleeping(lock: u64, now: u64) {
    match thread::get(task::current()).and_then(|thread| close(&mut thread.waits, lock)) {
        Some(index) => {
            sleep_ended(index, now);
        }
        None => unmatched(),
    }
}

/// This CPU's spin at `index` has ended. A global function, as the next: the verifier walks it once, not for every place
/// and way.
#[unsafe(no_mangle)]
#[inline(never)]
fn spin_ended(index: u32, now: u64) -> u32 {
    if let Some(spins) = SPINS.get_ptr(0) {
        // SAFETY: this CPU's own value.
        lock_part::add_spin(unsafe { &(*spins)[index as usize & (NESTING - 1)] }, now);
    }
    0
}

/// The running thread's wait at `index` has ended.
#[unsafe(no_mangle)]
#[inline(never)]
fn sleep_ended(index: u32, now: u64) -> u32 {
    if let Some(thread) = thread::get(task::current()) {
        let wait = &thread.waits[index as usize & (NESTING - 1)];
        if wait.kind & flag::MUTEX != 0 && wait.own == 0 {
            lock_part::mutex_phase(false);
        }
        wait::add(wait, now);
    }
    0
}

/// An end without a begin: either not the target's, or begun before attach.
#[inline(always)]
fn unmatched() {
    if !is_busy() && target::admits_current(task::current()) {
        count(Outcome::LockUnmatchedEnd, 1);
    }
}

/// Whether a wait for `lock` is open that its slow path's programs end.
#[inline(always)]
fn is_timed(waits: &[Wait; NESTING], lock: u64) -> bool {
    for index in 0..NESTING {
        if waits[index].lock == lock && waits[index].kind & TIMED != 0 {
            return true;
        }
    }
    false
}

/// Gives up the wait for `lock`: its place.
#[inline(always)]
fn close(waits: &mut [Wait; NESTING], lock: u64) -> Option<u32> {
    for index in 0..NESTING {
        if waits[index].lock == lock {
            waits[index].lock = 0;
            // An end that the recursion guard skipped leaves a wait behind on its CPU; the end of a stranger
            // who waits there for the same lock later is not its end.
            if waits[index].tid != bpf_get_current_pid_tgid() as u32 {
                return None;
            }
            waits[index].named = static_lock(lock);
            return Some(index as u32);
        }
    }
    None
}
