//! The begins of waits for locks: seen by the contention tracepoint, or by programs on the slow path.
//!
//! In: a lock that is waited for. Out: an open wait. The first begin on a lock opens it, later ones only change its
//! phase; different locks nest. Spins stay on their CPU, so their waits are per CPU; sleeping waits are per thread.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use profiler_common::lock::flag;
use profiler_common::outcome::Outcome;
use profiler_state::lock_waits::{Room, Waits};

use crate::clock::now_ns;
use crate::lock::{holder, part, spins};
use crate::outcome::{count, is_busy};
use crate::stack::buffer::Buffer;
use crate::target::filter;
use crate::thread::{record, slot};
use crate::{global, stack, task};

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
    if !own && !filter::admits_current(task::current()) {
        return;
    }
    if is_spinning(flags) {
        if let Some(spins) = spins::get() {
            open(ctx, spins, (lock, flags, own), buffer);
        }
    } else if let Some(thread) = record::get_or_create(task::current()) {
        // A sleeping lock's slow path may allocate: it is about to sleep.
        if !own && flags & flag::MUTEX != 0 {
            part::mutex_phase(flags & flag::SPIN != 0);
        }
        open(ctx, &thread.waits, (lock, flags & !flag::SPIN, own), buffer);
    }
}

#[inline(always)]
fn open(ctx: *mut c_void, waits: &Waits, (lock, kind, own): (u64, u32, bool), buffer: Buffer) {
    let index = match waits.place(lock, kind) {
        Room::At(index) => index,
        Room::Open => return,
        Room::Full => return count(Outcome::LockNestingFull, 1),
    };
    let ids = bpf_get_current_pid_tgid();
    let wait = waits.at(index);
    wait.prepare(kind, own, ids as u32);
    if !own {
        wait.in_task.set(u16::from(task::on_own_stack(task::current(), ctx)));
        wait.kernel.set(stack::kernel(ctx, buffer));
        if !is_spinning(kind) {
            wait.set_holder(&holder::of(lock, kind));
            if !task::is_kernel_thread(task::current()) {
                let in_call = slot::in_call(task::current());
                wait.user.set(stack::user(ctx, buffer, (ids >> 32) as u32, in_call));
            }
        }
    }
    wait.open(lock, now_ns());
}
