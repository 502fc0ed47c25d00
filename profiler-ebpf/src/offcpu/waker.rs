//! Who wakes a thread that has slept for long. `sched_waking` runs on the waker's CPU; `sched_wakeup` may run on the CPU of
//! the thread that is woken.
//!
//! In: a thread that is about to be woken. Out: the waker in its record.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use profiler_common::stack::NO_STACK;
use profiler_common::wait::Waker;
use profiler_state::away;
use profiler_state::thread::Thread;
use profiler_state::waker::UNSEEN;

use crate::blame::{outsider, wait};
use crate::clock::now_ns;
use crate::process::announce;
use crate::stack::buffer::Buffer;
use crate::syscall::asked;
use crate::target::filter;
use crate::task::{self, Task};
use crate::thread::{record, slot};
use crate::{global, stack};

/// `task` is about to be woken by what runs here.
#[inline(always)]
pub fn waking(ctx: *mut c_void, task: Task) {
    let Some(thread) = record::get(task) else {
        if global::offcpu_rows() != 0 && outsider::may_be(task) && outsider::wakes(task) {
            let running = task::current();
            wait::woken_outside(task, u32::from(in_task(running, task::on_own_stack(running, ctx))));
        }
        return;
    };
    if away::sleeps_since(thread).is_some_and(is_long) && !thread.waker.is_seen() {
        note(ctx, thread, task);
    }
}

#[inline(always)]
fn is_long(since: u64) -> bool {
    now_ns().saturating_sub(since) >= global::wait_min_ns()
}

#[inline(never)]
fn note(ctx: *mut c_void, thread: &Thread, woken: Task) -> u32 {
    let (current, ids) = (task::current(), bpf_get_current_pid_tgid());
    let tgid = (ids >> 32) as u32;
    let kernel = stack::kernel(ctx, Buffer::Waking);
    if ids as u32 == 0 {
        thread.waker.set(&Waker { kernel, tgid: 0, ..UNSEEN });
        wait::woken(thread, woken, 0);
        return 0;
    }
    // On a stack of interrupts: one on top of the task, or a softirq that the task runs itself, which is how packets
    // reach another process of the same machine. The functions of the stack tell.
    let on_top = !task::on_own_stack(current, ctx);
    wait::woken(thread, woken, u32::from(in_task(current, !on_top)));
    let user = if on_top || task::is_kernel_thread(current) {
        NO_STACK
    } else {
        stack::user(ctx, Buffer::Waking, tgid, slot::in_call(current))
    };
    thread.waker.set(&Waker { kernel, user, tgid, on_top: on_top.into() });
    if filter::admits_this_cpu() {
        announce::process(tgid);
    }
    0
}

/// Whether the code that runs here is the running thread's own work: a call's, or its end's. An interrupt of
/// user code runs on the thread's stack, too, but then the thread is in no call.
#[inline(always)]
fn in_task(running: Task, on_own_stack: bool) -> bool {
    on_own_stack && (!task::makes_calls(running) || asked::of(running).is_some())
}
