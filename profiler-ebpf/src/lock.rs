//! `lock` probe: waits, however they are seen. Hooks: BTF tracepoints `contention_begin`, `contention_end`;
//! those of `slow_path` come here, too.
//!
//! Produces: wait rows per (process, kind, static lock, stacks). The first begin on a lock
//! opens the wait, later ones only change its phase; different locks nest. Spins stay on their
//! CPU, so their state is per CPU; sleeping waits are per thread.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use profiler_common::lock::flag;
use profiler_common::outcome::Outcome;

use crate::clock::now_ns;
use crate::maps::SPINS;
use crate::outcome::{count, is_busy};
use crate::stack::{self, Buffer};
use crate::state::{NESTING, TIMED, Wait};
use crate::{global, lock_part, owner, slot, target, task, thread, wait};

/// The lock's address where it can have a symbol: inside the kernel's static data.
#[inline(always)]
fn static_lock(lock: u64) -> u64 {
    if lock >= global::data_start() && lock < global::data_end() { lock } else { 0 }
}

/// Whether the flags are those of a lock whose waiters never leave the CPU.
#[inline(always)]
pub fn is_spinning(flags: u32) -> bool {
    flags & flag::SPIN != 0 && flags & (flag::MUTEX | flag::PERCPU | flag::RT) == 0
}

/// A wait begins, or changes its phase: the contention tracepoint.
#[inline(always)]
pub fn begin(ctx: *mut c_void, lock: u64, flags: u32) {
    begin_into(ctx, lock, (flags, Buffer::Lock));
}

/// A wait begins; its stacks are taken into the calling program's own buffer.
#[inline(always)]
pub fn begin_into(ctx: *mut c_void, lock: u64, (flags, buffer): (u32, Buffer)) {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let own = is_busy() || tgid == global::self_tgid();
    if !own && !target::admits_current(task::current()) {
        return;
    }
    if is_spinning(flags) {
        if let Some(spins) = SPINS.get_ptr_mut(0) {
            // SAFETY: this CPU's own value.
            open(ctx, unsafe { &mut *spins }, (Wait::new(lock, flags, own), buffer));
        }
    } else if let Some(thread) = thread::get_or_create(task::current()) {
        // A sleeping lock's slow path may allocate: it is about to sleep.
        if !own && flags & flag::MUTEX != 0 {
            lock_part::mutex_phase(flags & flag::SPIN != 0);
        }
        open(ctx, &mut thread.waits, (Wait::new(lock, flags & !flag::SPIN, own), buffer));
    }
}

impl Wait {
    #[inline(always)]
    fn new(lock: u64, kind: u32, own: bool) -> Self {
        Self {
            lock,
            begin_ns: 0,
            kernel: stack::NONE,
            user: stack::NONE,
            kind,
            own: own as u32,
            in_task: 0,
            tid: bpf_get_current_pid_tgid() as u32,
            named: 0,
            owner: owner::NOBODY,
        }
    }
}

#[inline(always)]
fn open(ctx: *mut c_void, waits: &mut [Wait; NESTING], (mut wait, buffer): (Wait, Buffer)) {
    let mut free = NESTING;
    for index in 0..NESTING {
        let known = waits[index].lock;
        if known == wait.lock {
            // A slow path's own programs time this wait: it is not counted twice.
            let timed = waits[index].kind & TIMED != 0 && wait.kind & TIMED == 0;
            if timed || wait.kind & flag::MUTEX != 0 {
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
        wait.kernel = stack::kernel(ctx, buffer);
        if !is_spinning(wait.kind) {
            wait.owner = owner::of(wait.lock, wait.kind);
            if !task::is_kernel_thread(task::current()) {
                let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
                wait.user = stack::user(ctx, buffer, tgid, slot::in_call(task::current()));
            }
        }
    }
    wait.begin_ns = now_ns();
    waits[free & (NESTING - 1)] = wait;
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
