//! Interrupted calls: a call that returns -512..=-516 is not over. The kernel restarts it, at once or after a signal's
//! handler, or makes it fail with `EINTR`.
//!
//! In: such an exit, then handlers, `rt_sigreturn` and enters. Out: one call, from its first enter to its last exit. It is
//! joined with its restart only on evidence: no handler ran, or the handler has returned to it. Otherwise it ended when it
//! was left (errno values: include/linux/errno.h; they never reach user space).

use profiler_common::abi::{BEGAN_BEFORE, is_restart};
use profiler_common::outcome::Outcome;
use profiler_common::part::Part;
use profiler_common::stack::NO_STACK;

use crate::thread::{Thread, flag};
use crate::world::World;

/// Restarted, unless the handler does not want that: then it fails with `EINTR`.
const ERESTARTSYS: u32 = 512;
/// Restarted, also after a handler.
const ERESTARTNOINTR: u32 = 513;
/// Restarted only through `restart_syscall`, never by running the call again.
const ERESTART_RESTARTBLOCK: u32 = 516;
/// `SA_RESTART` and `SA_ONSTACK` (include/uapi/asm-generic/signal-defs.h), of a signal's action.
const SA_RESTART: u64 = 0x1000_0000;
const SA_ONSTACK: u64 = 0x0800_0000;
/// No user stack is there: the stack pointer of a call whose registers could not be read.
const NOWHERE: u64 = 0;
/// What tells how far an interrupted call is.
const STATE: u32 = flag::INTERRUPTED | flag::HANDLED | flag::ELSEWHERE | flag::RETURNED;

/// An interrupted call that is over. It is the thread's call again, with its parts and its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Which one.
    pub nr: u32,
    /// From its first enter to when it was interrupted, ns.
    pub wall_ns: u64,
    /// The user stack that made it, if it was taken.
    pub user: u64,
}

/// What a call means that begins while an interrupted one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its restart.
    Restart,
    /// One of the signal's handler.
    OfHandler,
    /// Another one: the interrupted call was left.
    Other,
}

/// Whether the return value means "interrupted, to be restarted".
#[inline(always)]
pub fn is_interruption(ret: i64) -> bool {
    (-516..=-512).contains(&ret)
}

/// Puts the call that was interrupted aside; it has ended already. If another call waits there, that call is
/// over: the new one was made in its handler, and only one can wait.
#[inline(always)]
pub fn at_exit(thread: &Thread, now: u64, stack_pointer: Option<u64>, ret: i64) -> Option<Over> {
    let interrupted = &thread.interrupted;
    let (nr, enter_ns) = (thread.nr.get(), thread.enter_ns.get());
    let over = if thread.is(flag::INTERRUPTED) {
        let over = Over { nr: interrupted.nr.get(), wall_ns: wall_ns(thread), user: interrupted.user.get() };
        thread.enter_ns.set(interrupted.enter_ns.get());
        thread.parts.exchange(&interrupted.parts);
        Some(over)
    } else {
        interrupted.parts.copy(&thread.parts);
        None
    };
    interrupted.nr.set(nr);
    interrupted.errno.set((-ret) as u32);
    interrupted.enter_ns.set(enter_ns);
    interrupted.exit_ns.set(now);
    interrupted.stack_pointer.set(stack_pointer.unwrap_or(NOWHERE));
    interrupted.user.set(NO_STACK);
    thread.flags.set(thread.flags.get() & !STATE | flag::INTERRUPTED);
    over
}

/// A signal's handler is about to run, with these flags of its action. Whether the call fails with that.
#[inline(always)]
pub fn at_handler(thread: &Thread, action: u64) -> bool {
    let flags = thread.flags.get();
    let elsewhere = if action & SA_ONSTACK != 0 { flag::ELSEWHERE } else { 0 };
    if flags & flag::INTERRUPTED == 0 {
        return false;
    }
    // On top of another handler: what becomes of the call is settled.
    if flags & flag::HANDLED != 0 {
        thread.flags.set(flags | elsewhere);
        return false;
    }
    let errno = thread.interrupted.errno.get();
    let restarts = errno == ERESTARTNOINTR || errno == ERESTARTSYS && action & SA_RESTART != 0;
    // After a handler has returned, the program is about to make the call again: that cannot fail any more.
    if !restarts && flags & flag::RETURNED == 0 {
        return true;
    }
    thread.flags.set(flags & !flag::RETURNED | flag::HANDLED | elsewhere);
    false
}

/// `rt_sigreturn` ends. It goes back to the interrupted call if the stack is as it was there, and the call `nr` stands in the
/// register that it is asked for by.
#[inline(always)]
pub fn at_sigreturn(thread: &Thread, stack_pointer: Option<u64>, nr: u32) {
    let again = nr == thread.interrupted.nr.get() & !BEGAN_BEFORE;
    if thread.is(flag::HANDLED) && again && is_at(thread, stack_pointer) {
        thread.flags.set(thread.flags.get() & !(flag::HANDLED | flag::ELSEWHERE) | flag::RETURNED);
    }
}

/// What the call `nr` is, that begins while an interrupted one waits.
#[inline(always)]
pub fn next(thread: &Thread, nr: u32, stack_pointer: Option<u64>) -> Next {
    let interrupted = &thread.interrupted;
    if thread.is(flag::HANDLED) {
        return if is_under(thread, stack_pointer) { Next::OfHandler } else { Next::Other };
    }
    let again = if interrupted.errno.get() == ERESTART_RESTARTBLOCK {
        is_restart(nr)
    } else {
        nr == interrupted.nr.get() & !BEGAN_BEFORE
    };
    if again && is_at(thread, stack_pointer) { Next::Restart } else { Next::Other }
}

/// The call that has just begun is the restart of the interrupted one, and becomes that one.
#[inline(always)]
pub fn joins(world: &impl World, thread: &Thread) {
    let interrupted = &thread.interrupted;
    let gap = thread.enter_ns.get().saturating_sub(interrupted.exit_ns.get());
    thread.nr.set(interrupted.nr.get());
    thread.enter_ns.set(interrupted.enter_ns.get());
    thread.parts.copy(&interrupted.parts);
    thread.parts.add(Part::Interrupted, gap);
    thread.flags.set(thread.flags.get() & !STATE);
    world.count(Outcome::Restarted);
}

/// The interrupted call, which is over: it failed when it was left.
#[inline(always)]
pub fn take(thread: &Thread) -> Over {
    let interrupted = &thread.interrupted;
    thread.flags.set(thread.flags.get() & !STATE);
    thread.enter_ns.set(interrupted.enter_ns.get());
    thread.parts.copy(&interrupted.parts);
    Over { nr: interrupted.nr.get(), wall_ns: wall_ns(thread), user: interrupted.user.get() }
}

/// From the interrupted call's first enter to its last exit so far, ns.
#[inline(always)]
pub fn wall_ns(thread: &Thread) -> u64 {
    thread.interrupted.exit_ns.get().wrapping_sub(thread.interrupted.enter_ns.get())
}

/// Whether the user stack is where it was when the call was interrupted.
#[inline(always)]
fn is_at(thread: &Thread, stack_pointer: Option<u64>) -> bool {
    stack_pointer.is_some_and(|it| it != NOWHERE && it == thread.interrupted.stack_pointer.get())
}

/// Whether the handler may still run: its frames are below the interrupted call's, or on a stack of their own. There, only
/// the interrupted call's own place is none of the handler's.
#[inline(always)]
fn is_under(thread: &Thread, stack_pointer: Option<u64>) -> bool {
    let left_at = thread.interrupted.stack_pointer.get();
    if thread.is(flag::ELSEWHERE) {
        !is_at(thread, stack_pointer)
    } else {
        left_at == NOWHERE || stack_pointer.is_none_or(|it| it < left_at)
    }
}
