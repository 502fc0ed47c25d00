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
use crate::{global, lock_part, owner, slot, target, task, thread};

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
