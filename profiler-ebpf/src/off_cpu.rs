//! `offcpu` and `runq` probes: what a thread waited for off the CPU. Hooks: those of `switch`.
//!
//! Produces: a row for every wait, and for the long ones that block, rows by their stacks and waker. The user stack
//! of a call is that of its end, so long waits inside a call stay with the thread until then.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use profiler_common::outcome::Outcome;
use profiler_common::stack::NO_STACK;
use profiler_common::wait::{NO_CALL, WaitStackKey, WaitStackRow, pack};

use crate::maps::WAIT_STACKS;
use crate::outcome::{busy, count};
use crate::pending::Kind;
use crate::row::{self, Waits, this_writer};
use crate::stack::{self, Buffer};
use crate::state::{Thread, flag};
use crate::task::{self, Task};
use crate::{global, neighbour, target, thread};

/// The call a thread is in, packed with what it waits for.
#[inline(always)]
fn packed(thread: &Thread, wait: u32) -> u16 {
    pack(wait, if thread.flags & flag::IN_CALL != 0 { thread.nr } else { u32::from(NO_CALL) })
}

/// Whether waits of this process that end on this CPU count.
#[inline(always)]
fn counts(tgid: u32) -> bool {
    tgid != global::self_tgid() && target::admits_this_cpu()
}

/// `task` was blocked for `ns`, with this kernel stack if that was long. The profiler's own threads have state, too:
/// the `lock` probe tells their waits from others'.
#[inline(always)]
pub fn blocked(thread: &mut Thread, task: Task, ns: u64, kernel: u64) {
    let (tgid, packed) = (task::tgid(task), packed(thread, u32::from(thread.slice.wait)));
    if global::offcpu_rows() == 0 || !counts(tgid) {
        return;
    }
    add_wait(tgid, u32::from(packed), ns);
    if kernel != NO_STACK {
        let waker = thread.waker;
        let one = Kind { kernel, waker, total_ns: ns, max_ns: ns, waits: 1, packed: u32::from(packed) };
        keep(thread, tgid, &one);
    }
}

/// `task` waited for a CPU, since `since`.
#[inline(always)]
pub fn queued(thread: &Thread, task: Task, wait: u32, (since, now): (u64, u64)) {
    let tgid = task::tgid(task);
    if global::runq_rows() != 0 && counts(tgid) {
        add_queued(tgid, u32::from(packed(thread, wait)), since, now);
    }
}

/// As [`queued`], where nobody saw who ran meanwhile.
#[inline(always)]
pub fn queued_unseen(thread: &Thread, task: Task, wait: u32, ns: u64) {
    let tgid = task::tgid(task);
    if global::runq_rows() != 0 && counts(tgid) {
        add_wait(tgid, u32::from(packed(thread, wait)), ns);
    }
}

/// Adds a wait to its row. A global function, as the next: the verifier walks it once, not once for every way there.
#[unsafe(no_mangle)]
#[inline(never)]
fn add_wait(tgid: u32, packed: u32, ns: u64) -> u32 {
    row::add::<Waits>(tgid, packed as u16, ns);
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
fn add_queued(tgid: u32, packed: u32, since: u64, now: u64) -> u32 {
    let ns = now.saturating_sub(since);
    row::add::<Waits>(tgid, packed as u16, ns);
    if ns >= global::wait_min_ns() {
        neighbour::blame(tgid, since, now);
    }
    0
}

/// Keeps a long wait until its call ends; those outside of calls have no user stack to wait for.
#[inline(never)]
fn keep(thread: &mut Thread, tgid: u32, one: &Kind) -> u32 {
    if thread.flags & flag::IN_CALL != 0 {
        if thread.pending.keep(one) {
            return 0;
        }
        count(Outcome::WaitUserStackMissing, 1);
    }
    add_row(one, tgid, NO_STACK)
}

/// The running thread's call ends: its long waits get its user stack, taken here unless it was already.
#[inline(always)]
pub fn settle(ctx: *mut c_void, thread: &mut Thread, user: u64) {
    if thread.pending.is_empty() {
        return;
    }
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let user = if user == NO_STACK && !task::is_kernel_thread(task::current()) {
        stack::user(ctx, Buffer::Call, tgid, true)
    } else {
        user
    };
    settle_waits(tgid, user);
}

/// A global function: the verifier walks its loop once, not once for every way a call can end.
#[unsafe(no_mangle)]
#[inline(never)]
fn settle_waits(tgid: u32, user: u64) -> u32 {
    if let Some(thread) = thread::get(task::current()) {
        thread.pending.drain(|one| {
            add_row(one, tgid, user);
        });
    }
    0
}

#[inline(never)]
fn add_row(one: &Kind, tgid: u32, user: u64) -> u32 {
    let key = WaitStackKey {
        tgid,
        writer: this_writer(),
        packed: one.packed,
        pad: 0,
        kernel: one.kernel,
        user,
        waker: one.waker,
    };
    if let Some(row) = WAIT_STACKS.get_ptr_mut(&key) {
        // SAFETY: this CPU is the row's only writer.
        let row = unsafe { &mut *row };
        row.waits += u64::from(one.waits);
        row.total_ns += one.total_ns;
        if one.max_ns > row.max_ns {
            row.max_ns = one.max_ns;
        }
        return 0;
    }
    let row = WaitStackRow { waits: u64::from(one.waits), total_ns: one.total_ns, max_ns: one.max_ns };
    if busy(|| WAIT_STACKS.insert(&key, &row, 0)).is_err() {
        count(Outcome::WaitStackRowFull, row.waits);
    }
    0
}
