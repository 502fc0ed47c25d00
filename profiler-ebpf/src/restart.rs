//! Interrupted calls: a call that returns -512..=-516 is not over. The kernel restarts it, at once or
//! after a signal handler, or the handler's end makes it fail with `EINTR`.
//!
//! In: such an exit, then enters and `rt_sigreturn`. Out: one call, from its first enter to its last
//! exit (errno values: include/linux/errno.h; they never reach user space).

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use profiler_common::outcome::Outcome;
use profiler_common::part::Part;
use profiler_common::processor::{RESTART_SYSCALL, STACK_POINTER};

use crate::call::Ended;
use crate::outcome::count;
use crate::state::{Interrupted, Thread, flag};

/// Restarted only through `restart_syscall`, never by running the call again.
const ERESTART_RESTARTBLOCK: u32 = 516;
const EINTR: i64 = 4;

/// Whether the return value means "interrupted, to be restarted".
#[inline(always)]
pub fn is_interruption(ret: i64) -> bool {
    (-516..=-512).contains(&ret)
}

/// Puts the interrupted call aside.
#[inline(always)]
pub fn at_exit(thread: &mut Thread, now: u64, regs: u64, ret: i64) {
    thread.interrupted = Interrupted {
        nr: thread.nr,
        errno: (-ret) as u32,
        enter_ns: thread.enter_ns,
        exit_ns: now,
        stack_pointer: stack_pointer(regs),
        parts: thread.parts,
    };
    thread.flags |= flag::INTERRUPTED;
}

/// A call begins while an interrupted one waits: its restart, or a call of the signal's handler.
#[inline(always)]
pub fn at_enter(thread: &mut Thread, regs: u64) {
    let interrupted = &thread.interrupted;
    let again = thread.nr == interrupted.nr && interrupted.errno != ERESTART_RESTARTBLOCK;
    if (again || thread.nr == RESTART_SYSCALL) && stack_pointer(regs) == interrupted.stack_pointer {
        let gap = thread.enter_ns.saturating_sub(interrupted.exit_ns);
        thread.nr = interrupted.nr;
        thread.enter_ns = interrupted.enter_ns;
        thread.parts = interrupted.parts;
        thread.parts.ns[Part::Interrupted as usize] += gap;
        thread.flags &= !flag::INTERRUPTED;
        count(Outcome::Restarted, 1);
    }
}

/// `rt_sigreturn` ends with `ret`: the interrupted call, when this makes it fail.
#[inline(always)]
pub fn at_sigreturn(thread: &mut Thread, tgid: u32, regs: u64, ret: i64) -> Option<Ended> {
    let Interrupted { nr, enter_ns, exit_ns, stack_pointer: interrupted_at, .. } = thread.interrupted;
    let waits = thread.flags & flag::INTERRUPTED != 0;
    if !waits || ret != -EINTR || stack_pointer(regs) != interrupted_at {
        return None;
    }
    thread.flags &= !flag::INTERRUPTED;
    Some(Ended { tgid, nr, latency_ns: exit_ns.wrapping_sub(enter_ns), ret })
}

/// The user stack pointer among saved registers.
#[inline(always)]
fn stack_pointer(regs: u64) -> u64 {
    let mut value = 0u64;
    // SAFETY: the helper checks the address.
    unsafe {
        bpf_probe_read_kernel((&raw mut value).cast(), 8, (regs + STACK_POINTER as u64) as *const c_void)
    };
    value
}
