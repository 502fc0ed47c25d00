//! Calls that a signal interrupted: what its handler makes of them, and their rows when they are over.
//!
//! In: signals that are delivered, the next call, the thread's death. Out: rows of calls that failed with `EINTR`, with their
//! time until they were left.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::outcome::Outcome;
use profiler_state::restart::{self, Next, Over};
use profiler_state::thread::{Thread, flag};

use crate::outcome::count;
use crate::stack::buffer::Buffer;
use crate::syscall::call::{self, Ended};
use crate::syscall::{registers, slow};
use crate::target::filter;
use crate::task::read::read;
use crate::thread::{record, slot};
use crate::{global, stack, task};

const EINTR: i64 = 4;
/// `SIG_IGN` (include/uapi/asm-generic/signal-defs.h); below it is `SIG_DFL`. All above are handlers.
const IGNORED: u64 = 1;
/// No registers: the call's arguments are not told.
const GONE: u64 = 0;

/// The running thread takes a signal. Its registers are still those of the call that it interrupted.
#[inline(always)]
pub fn deliver(ctx: &RawTracePointContext) {
    if slot::is_outside() {
        return;
    }
    if let Some(thread) = record::get(task::current())
        && thread.is(flag::INTERRUPTED)
    {
        handled(ctx.as_ptr(), thread, ctx.arg(2));
    }
}

/// By the action at this address: `struct k_sigaction` begins with the handler and its flags (include/linux/signal_types.h).
#[inline(never)]
fn handled(ctx: *mut c_void, thread: &Thread, action: u64) -> u32 {
    let Some([handler, flags]) = read::<[u64; 2]>(action) else { return 0 };
    if handler <= IGNORED {
        return 0;
    }
    let first = !thread.is(flag::HANDLED);
    let fails = restart::at_handler(thread, flags);
    if first && global::syscall_rows() != 0 && restart::wall_ns(thread) >= global::slow_ns() {
        let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        thread.interrupted.user.set(stack::copy::of_call(ctx, Buffer::Call, tgid, true));
    }
    if fails {
        add(&restart::take(thread), registers::address_of(task::current()));
    }
    0
}

/// The running thread makes the call `nr` while an interrupted one waits: whether it goes on with that one. If it does not,
/// and is not the handler's, the interrupted call was left.
#[inline(always)]
pub fn goes_on(thread: &Thread, nr: u32, regs: u64) -> bool {
    match restart::next(thread, nr, registers::stack_pointer(regs)) {
        Next::Restart => true,
        Next::OfHandler => false,
        Next::Other => {
            is_left(thread);
            false
        }
    }
}

/// The interrupted call is over: the program went on elsewhere.
#[inline(always)]
pub fn is_left(thread: &Thread) {
    count(Outcome::InterruptedLeft, 1);
    is_over(thread);
}

/// The interrupted call is over, and nobody comes back to it.
#[inline(always)]
pub fn is_over(thread: &Thread) {
    add(&restart::take(thread), GONE);
}

/// Another call of the handler is interrupted, too, and takes the place of the one that waits.
#[inline(always)]
pub fn is_displaced(over: &Over) {
    count(Outcome::InterruptedTwice, 1);
    add(over, GONE);
}

#[inline(always)]
fn add(over: &Over, regs: u64) {
    // Its parts are in the thread's record.
    if filter::admits_this_cpu() && add_failed(over.nr, over.wall_ns) != 0 {
        slow::add_slow(over.nr, over.wall_ns, over.user, regs, -EINTR);
    }
}

/// Adds the call to its rows; 1: it is slow. A global function: the verifier walks it once, not once for every way an
/// interrupted call can end. It does not add slow calls itself: all frames of a program have 512 bytes together.
#[unsafe(no_mangle)]
#[inline(never)]
fn add_failed(nr: u32, wall_ns: u64) -> u32 {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    u32::from(call::add(&Ended { tgid, nr, latency_ns: wall_ns, ret: -EINTR }))
}
