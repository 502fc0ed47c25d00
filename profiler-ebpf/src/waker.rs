//! Who wakes a thread that has slept for long. Hook: BTF tracepoint `sched_waking`, which runs where the waker
//! runs; `sched_wakeup` may run on the CPU of the one that is woken.
//!
//! Produces: the waker in the sleeping thread's record.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use profiler_common::stack::NO_STACK;
use profiler_common::wait::{NO_WAKER, Waker};

use crate::clock::now_ns;
use crate::stack::{self, Buffer};
use crate::state::Thread;
use crate::task::{self, Task};
use crate::{away, global, process, slot, target, thread};

/// As a waker: nobody was seen.
pub const UNSEEN: Waker = Waker { kernel: NO_STACK, user: NO_STACK, tgid: NO_WAKER, on_top: 0 };

/// `task` is about to be woken by what runs here.
#[inline(always)]
pub fn waking(ctx: *mut c_void, task: Task) {
    let Some(thread) = thread::get(task) else { return };
    if away::sleeps_since(thread).is_some_and(is_long) && thread.waker.tgid == NO_WAKER {
        note(ctx, thread);
    }
}

#[inline(always)]
fn is_long(since: u64) -> bool {
    now_ns().saturating_sub(since) >= global::wait_min_ns()
}

#[inline(never)]
fn note(ctx: *mut c_void, thread: &mut Thread) -> u32 {
    let (current, ids) = (task::current(), bpf_get_current_pid_tgid());
    let tgid = (ids >> 32) as u32;
    let kernel = stack::kernel(ctx, Buffer::Waking);
    if ids as u32 == 0 {
        thread.waker = Waker { kernel, tgid: 0, ..UNSEEN };
        return 0;
    }
    // On a stack of interrupts: one on top of the task, or a softirq that the task runs itself, which is how packets
    // reach another process of the same machine. The functions of the stack tell.
    let on_top = !task::on_own_stack(current, ctx);
    let user = if on_top || task::is_kernel_thread(current) {
        NO_STACK
    } else {
        stack::user(ctx, Buffer::Waking, tgid, slot::in_call(current))
    };
    thread.waker = Waker { kernel, user, tgid, on_top: on_top.into() };
    if target::admits_this_cpu() {
        process::announce(tgid);
    }
    0
}
