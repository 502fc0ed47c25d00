//! Interrupted calls: a call that returns -512..=-516 is not over, the kernel restarts it.
//!
//! In: such an exit, and the enters after it. Out: one call, from its first enter to its last
//! exit (errno values: include/linux/errno.h; they never reach user space).

use profiler_common::outcome::Outcome;

use crate::call::{Ended, add_latency};
use crate::outcome::count;
use crate::task;
use crate::thread::{Thread, flag};

const RT_SIGRETURN: u32 = 15;
const RESTART_SYSCALL: u32 = 219;
/// Restarted only through `restart_syscall`, never by running the call again.
const ERESTART_RESTARTBLOCK: u32 = 516;

/// Whether the return value means "interrupted, to be restarted".
#[inline(always)]
pub fn is_interruption(ret: i64) -> bool {
    (-516..=-512).contains(&ret)
}

/// Puts the interrupted call aside.
#[inline(always)]
pub fn at_exit(thread: &mut Thread, now: u64, ret: i64) {
    thread.interrupted_nr = thread.nr;
    thread.interrupted_errno = (-ret) as u32;
    thread.interrupted_enter_ns = thread.enter_ns;
    thread.interrupted_exit_ns = now;
    thread.flags = (thread.flags | flag::INTERRUPTED) & !flag::HANDLED;
}

/// A call begins while an interrupted one waits: its restart, the handler's own, or the proof
/// that it was not restarted (the program saw `EINTR`).
#[inline(always)]
pub fn at_enter(thread: &mut Thread) {
    let nr = thread.nr;
    let same = nr == thread.interrupted_nr && thread.interrupted_errno != ERESTART_RESTARTBLOCK;
    if nr == RESTART_SYSCALL || same {
        thread.nr = thread.interrupted_nr;
        thread.enter_ns = thread.interrupted_enter_ns;
        thread.flags &= !(flag::INTERRUPTED | flag::HANDLED);
        count(Outcome::Restarted, 1);
    } else if nr == RT_SIGRETURN {
        thread.flags |= flag::HANDLED;
    } else if thread.flags & flag::HANDLED != 0 {
        thread.flags &= !(flag::INTERRUPTED | flag::HANDLED);
        add_latency(&Ended {
            tgid: task::tgid(task::current()),
            nr: thread.interrupted_nr,
            latency_ns: thread.interrupted_exit_ns.wrapping_sub(thread.interrupted_enter_ns),
            ret: -4,
        });
    }
}
