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

use crate::clock::now_ns;
use crate::lock::{self, is_spinning};
use crate::maps::SPINS;
use crate::outcome::count;
use crate::stack::Buffer;
use crate::state::{NESTING, TIMED, Wait};
use crate::{lock_end, task, thread};

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

/// As [`by_trampoline`], for every function of a kind. The kernel runs one such program a CPU.
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

/// A slow path begins. What is still open and cannot be, has lost its end. A function that all programs
/// share, and in which the verifier knows kind and buffer all the same: it walks it for each of them.
#[inline(never)]
fn enter(ctx: *mut c_void, lock: u64, kind: u32, buffer: Buffer) -> u32 {
    if is_spinning(kind) {
        if let Some(spins) = SPINS.get_ptr_mut(0) {
            // SAFETY: this CPU's own value.
            make_room(unsafe { &mut *spins });
        }
    } else if let Some(thread) = thread::get(task::current()) {
        // A thread waits for one sleeping lock at a time.
        for index in 0..NESTING {
            lose(&mut thread.waits[index]);
        }
    }
    lock::begin_into(ctx, lock, (kind | TIMED, buffer));
    0
}

/// Gives up the oldest spin when all places are taken: more than a CPU can nest.
#[inline(always)]
fn make_room(spins: &mut [Wait; NESTING]) {
    let mut oldest = 0;
    for index in 0..NESTING {
        if spins[index].lock == 0 {
            return;
        }
        if spins[index].begin_ns < spins[oldest & (NESTING - 1)].begin_ns {
            oldest = index;
        }
    }
    lose(&mut spins[oldest & (NESTING - 1)]);
}

#[inline(always)]
fn lose(wait: &mut Wait) {
    if wait.lock != 0 {
        wait.lock = 0;
        count(Outcome::LockEndMissed, 1);
    }
}

/// The slow path of `lock` returns.
#[inline(never)]
fn leave(lock: u64, kind: u32) -> u32 {
    if is_spinning(kind) {
        lock_end::end_spinning(lock, now_ns())
    } else {
        lock_end::end_sleeping(lock, now_ns())
    }
    0
}

/// The slow path that was entered last returns.
#[inline(never)]
fn leave_last(kind: u32) -> u32 {
    let now = now_ns();
    if is_spinning(kind) {
        let Some(spins) = SPINS.get_ptr(0) else { return 0 };
        // SAFETY: this CPU's own value.
        let lock = last(unsafe { &*spins }, kind);
        lock_end::end_spinning(lock, now);
    } else {
        let lock = thread::get(task::current()).map_or(NO_LOCK, |thread| last(&thread.waits, kind));
        lock_end::end_sleeping(lock, now);
    }
    0
}

/// No lock lies here, and no wait is open for it.
const NO_LOCK: u64 = 1;

/// The lock of the wait of a kind that began last.
#[inline(always)]
fn last(waits: &[Wait; NESTING], kind: u32) -> u64 {
    let (mut lock, mut begin_ns) = (NO_LOCK, 0);
    for index in 0..NESTING {
        let wait = &waits[index];
        if wait.lock != 0 && wait.kind == kind | TIMED && wait.begin_ns >= begin_ns {
            (lock, begin_ns) = (wait.lock, wait.begin_ns);
        }
    }
    lock
}
