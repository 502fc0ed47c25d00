//! Waits that block.
//!
//! In: a thread that is switched in. Out: the row of its wait; for a long wait, also a row by its stacks and waker. The user
//! stack of a call is taken when the call ends, so the thread's record keeps long waits inside a call until then.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::outcome::Outcome;
use profiler_common::stack::NO_STACK;
use profiler_common::wait::{WaitStackKey, WaitStackRow};
use profiler_state::pending::Kind;
use profiler_state::thread::Thread;

use crate::blame::wait;
use crate::outcome::count;
use crate::row::sum;
use crate::row::waits::{add_wait, counts, packed};
use crate::row::writer::this_writer;
use crate::stack::buffer::Buffer;
use crate::task::{self, Task};
use crate::thread::record;
use crate::{global, stack};

/// Long ones that block, by stacks.
#[map]
static WAIT_STACKS: HashMap<WaitStackKey, WaitStackRow> = HashMap::with_max_entries(32_768, 0);

/// `task` was blocked for `ns`, with this kernel stack if that was long. The profiler's own threads have state, too:
/// the `lock` probe tells their waits from others'.
#[inline(always)]
pub fn add(thread: &Thread, task: Task, ns: u64, kernel: u64) {
    let (tgid, packed) = (task::tgid(task), packed(thread, u32::from(thread.slice.wait.get())));
    if global::offcpu_rows() == 0 || !counts(tgid) {
        return;
    }
    add_wait(tgid, u32::from(packed), ns);
    if kernel != NO_STACK {
        let waker = thread.waker.get();
        let one = Kind { kernel, waker, total_ns: ns, max_ns: ns, waits: 1, packed: u32::from(packed) };
        keep(thread, tgid, &one);
        wait::ended(thread, task, ns, (u32::from(packed), kernel));
    }
}

/// Keeps a long wait until its call ends; those outside of calls have no user stack to wait for.
#[inline(never)]
fn keep(thread: &Thread, tgid: u32, one: &Kind) -> u32 {
    if thread.in_call() {
        if thread.pending.keep(one) {
            return 0;
        }
        count(Outcome::WaitUserStackMissing, 1);
    }
    add_row(one, tgid, NO_STACK)
}

/// The running thread's call ends: its long waits get its user stack, taken here unless it was already.
#[inline(always)]
pub fn settle(ctx: *mut c_void, thread: &Thread, user: u64) {
    if thread.pending.is_empty() {
        return;
    }
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let user = if user == NO_STACK && !task::is_kernel_thread(task::current()) {
        stack::copy::of_call(ctx, Buffer::Call, tgid, true)
    } else {
        user
    };
    settle_waits(tgid, user);
}

/// The same with a stack that is known, or with none where the thread ends. A global function: the verifier walks its
/// loop once, not once for every way a call can end.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn settle_waits(tgid: u32, user: u64) -> u32 {
    if let Some(thread) = record::get(task::current()) {
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
    let row = WaitStackRow { waits: u64::from(one.waits), total_ns: one.total_ns, max_ns: one.max_ns };
    sum::add(&WAIT_STACKS, &key, &row, (Outcome::WaitStackRowFull, row.waits), |row| {
        row.waits += u64::from(one.waits);
        row.total_ns += one.total_ns;
        if one.max_ns > row.max_ns {
            row.max_ns = one.max_ns;
        }
    });
    0
}
