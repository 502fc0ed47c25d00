//! `lock` probe. Hooks: BTF tracepoints `contention_begin`, `contention_end`.
//!
//! Produces: wait rows per (process, kind, static lock, stacks). The first begin on a lock
//! opens the wait, later ones only change its phase; different locks nest. Spins stay on their
//! CPU, so their state is per CPU; sleeping waits are per thread.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use profiler_common::lock::flag;
use profiler_common::outcome::Outcome;
use profiler_common::stack::NO_STACK;

use crate::maps::SPINS;
use crate::outcome::{count, is_busy};
use crate::stack::{self, Buffer};
use crate::state::{NESTING, Wait};
use crate::{global, slice, slot, target, task, thread, wait};

/// The lock's address where it can have a symbol: inside the kernel's static data.
#[inline(always)]
fn static_lock(lock: u64) -> u64 {
    if lock >= global::data_start() && lock < global::data_end() { lock } else { 0 }
}

/// Whether the flags are those of a lock whose waiters never leave the CPU.
#[inline(always)]
fn is_spinning(flags: u32) -> bool {
    flags & flag::SPIN != 0 && flags & (flag::MUTEX | flag::PERCPU | flag::RT) == 0
}

/// A wait begins, or changes its phase.
#[inline(always)]
pub fn begin(ctx: *mut c_void, lock: u64, flags: u32) {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let own = is_busy() || tgid == global::self_tgid();
    if !own && !target::admits_current(task::current()) {
        return;
    }
    if is_spinning(flags) {
        if let Some(spins) = SPINS.get_ptr_mut(0) {
            // SAFETY: this CPU's own value.
            open(ctx, unsafe { &mut *spins }, Wait::new(lock, flags, own));
        }
    } else if let Some(thread) = thread::get_or_create(task::current()) {
        // A sleeping lock's slow path may allocate: it is about to sleep.
        if !own && flags & flag::MUTEX != 0 {
            mutex_phase(flags & flag::SPIN != 0);
        }
        open(ctx, &mut thread.waits, Wait::new(lock, flags & !flag::SPIN, own));
    }
}

impl Wait {
    #[inline(always)]
    fn new(lock: u64, kind: u32, own: bool) -> Self {
        Self {
            lock,
            begin_ns: 0,
            kernel: NO_STACK,
            user: NO_STACK,
            kind,
            own: own as u32,
            in_task: 0,
            pad: 0,
            named: 0,
        }
    }
}

#[inline(always)]
fn open(ctx: *mut c_void, waits: &mut [Wait; NESTING], mut wait: Wait) {
    let mut free = NESTING;
    for index in 0..NESTING {
        let known = waits[index].lock;
        if known == wait.lock {
            if wait.kind & flag::MUTEX != 0 {
                return;
            }
            // Only a mutex announces its phases. Here the recursion guard has skipped (and counted)
            // the end of the wait before: it has no length.
            free = index;
            break;
        }
        if known == 0 && free == NESTING {
            free = index;
        }
    }
    if free >= NESTING {
        count(Outcome::LockNestingFull, 1);
        return;
    }
    if wait.own == 0 {
        wait.in_task = task::on_own_stack(task::current(), ctx) as u32;
        wait.kernel = stack::kernel(ctx, Buffer::Lock);
        if !is_spinning(wait.kind) && !task::is_kernel_thread(task::current()) {
            let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
            wait.user = stack::user(ctx, Buffer::Lock, tgid, slot::in_call(task::current()));
        }
    }
    // SAFETY: the helper has no preconditions.
    wait.begin_ns = unsafe { bpf_ktime_get_ns() };
    waits[free & (NESTING - 1)] = wait;
}

/// The wait for `lock` ends.
#[inline(always)]
pub fn end(lock: u64) {
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    if let Some(spins) = SPINS.get_ptr_mut(0) {
        // SAFETY: this CPU's own value.
        if let Some(wait) = close(unsafe { &mut *spins }, lock) {
            if wait.in_task != 0
                && let Some(thread) = slot::moved(task::current())
            {
                slice::spun(thread, now.saturating_sub(wait.begin_ns), wait.kernel);
            }
            wait::add(wait, now);
            return;
        }
    }
    match thread::get(task::current()).and_then(|thread| close(&mut thread.waits, lock)) {
        Some(wait) => {
            if wait.kind & flag::MUTEX != 0 && wait.own == 0 {
                mutex_phase(false);
            }
            wait::add(wait, now);
        }
        None => unmatched(),
    }
}

/// A wait of the running thread for a mutex begins to spin, or ceases to.
#[inline(always)]
fn mutex_phase(spins: bool) {
    if let Some(thread) = slot::moved(task::current()) {
        // SAFETY: the helper has no preconditions.
        slice::mutex_phase(thread, spins, unsafe { bpf_ktime_get_ns() });
    }
}

/// An end without a begin: either not the target's, or begun before attach.
#[inline(always)]
fn unmatched() {
    if !is_busy() && target::admits_current(task::current()) {
        count(Outcome::LockUnmatchedEnd, 1);
    }
}

#[inline(always)]
fn close(waits: &mut [Wait; NESTING], lock: u64) -> Option<&Wait> {
    for index in 0..NESTING {
        if waits[index].lock == lock {
            waits[index].lock = 0;
            waits[index].named = static_lock(lock);
            return Some(&waits[index]);
        }
    }
    None
}
