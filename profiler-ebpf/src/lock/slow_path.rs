//! `lock` probe, where contention tracepoints are missing or blind. Hooks: entry and return of the
//! functions that wait for a contended lock, by fentry/fexit or by kprobe/kretprobe.
//!
//! Produces: what `lock` produces. A return by kretprobe does not know its lock: it ends the wait of
//! its kind that began last. Each program has a stack buffer of its own.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::{fentry, fexit, kprobe, kretprobe};
use aya_ebpf::programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext};
use profiler_common::lock::flag::{MUTEX, READ, SPIN, WRITE};
use profiler_common::outcome::Outcome;

use profiler_state::lock_wait::{LockWait, NESTING, NO_LOCK, TIMED};

use crate::clock::now_ns;
use crate::lock::begin::{self, is_spinning};
use crate::lock::{end, spins};
use crate::outcome::count;
use crate::stack::buffer::Buffer;
use crate::task;
use crate::thread::record;

/// The programs of one function: its kind as contention flags, its stack buffer, their names.
macro_rules! by_trampoline {
    ($($kind:expr, $buffer:expr => $enter:ident $leave:ident;)*) => {$(
        #[fentry]
        fn $enter(ctx: FEntryContext) -> Result<(), ()> {
            enter(ctx.as_ptr(), ctx.arg::<u64>(0), $kind, $buffer);
            Ok(())
        }

        #[fexit]
        fn $leave(ctx: FExitContext) -> Result<(), ()> {
            leave(ctx.arg::<u64>(0), $kind);
            Ok(())
        }
    )*};
}

by_trampoline! {
    SPIN, Buffer::Spin => enter_spin_native leave_spin_native;
    SPIN, Buffer::Spin => enter_spin_pv leave_spin_pv;
    SPIN | READ, Buffer::ReadLock => enter_rwlock_read leave_rwlock_read;
    SPIN | WRITE, Buffer::WriteLock => enter_rwlock_write leave_rwlock_write;
    MUTEX, Buffer::Mutex => enter_mutex leave_mutex;
    MUTEX, Buffer::MutexKillable => enter_mutex_killable leave_mutex_killable;
    MUTEX, Buffer::MutexInterruptible => enter_mutex_interruptible leave_mutex_interruptible;
    READ, Buffer::SemaphoreRead => enter_rwsem_read leave_rwsem_read;
    WRITE, Buffer::SemaphoreWrite => enter_rwsem_write leave_rwsem_write;
}

/// As [`by_trampoline`], for every function of a kind. The kernel runs one such program at a time on a CPU.
macro_rules! by_kprobe {
    ($($kind:expr => $enter:ident $leave:ident;)*) => {$(
        #[kprobe]
        fn $enter(ctx: ProbeContext) -> u32 {
            if let Some(lock) = ctx.arg::<u64>(0) {
                enter(ctx.as_ptr(), lock, $kind, Buffer::Kprobe);
            }
            0
        }

        #[kretprobe]
        fn $leave(_ctx: RetProbeContext) -> u32 {
            leave_last($kind);
            0
        }
    )*};
}

by_kprobe! {
    SPIN => kprobe_spin kretprobe_spin;
    SPIN | READ => kprobe_rwlock_read kretprobe_rwlock_read;
    SPIN | WRITE => kprobe_rwlock_write kretprobe_rwlock_write;
    MUTEX => kprobe_mutex kretprobe_mutex;
    READ => kprobe_rwsem_read kretprobe_rwsem_read;
    WRITE => kprobe_rwsem_write kretprobe_rwsem_write;
}

/// A slow path begins. A wait that is still open, although it cannot be, has lost its end. All programs share this
/// function; the verifier walks it for each of them, so it knows kind and buffer.
#[inline(never)]
fn enter(ctx: *mut c_void, lock: u64, kind: u32, buffer: Buffer) -> u32 {
    if is_spinning(kind) {
        // More than a CPU can nest: the oldest has lost its end.
        if let Some(oldest) = spins::get().and_then(|spins| spins.oldest_if_full()) {
            lose(oldest);
        }
    } else if let Some(thread) = record::get(task::current()) {
        // A thread waits for one sleeping lock at a time.
        for index in 0..NESTING {
            lose(thread.waits.at(index));
        }
    }
    begin::begin_into(ctx, lock, (kind | TIMED, buffer));
    0
}

#[inline(always)]
fn lose(wait: &LockWait) {
    if wait.give_up() {
        count(Outcome::LockEndMissed, 1);
    }
}

/// The slow path of `lock` returns.
#[inline(never)]
fn leave(lock: u64, kind: u32) -> u32 {
    if is_spinning(kind) {
        end::end_spinning(lock, now_ns())
    } else {
        end::end_sleeping(lock, now_ns())
    }
    0
}

/// The slow path that was entered last returns.
#[inline(never)]
fn leave_last(kind: u32) -> u32 {
    let now = now_ns();
    if is_spinning(kind) {
        let Some(spins) = spins::get() else { return 0 };
        end::end_spinning(spins.last(kind), now);
    } else {
        let lock = record::get(task::current()).map_or(NO_LOCK, |thread| thread.waits.last(kind));
        end::end_sleeping(lock, now);
    }
    0
}
