//! In: how many waits, and how many sleepers make them long. Out: calls that do nothing but spin, for
//! milliseconds, by the caller's own clock. In a child, the sleepers wait for a futex and a thread that wakes none
//! of them visits all of them, under the lock of their hash bucket, again and again. Here, a wait for that futex
//! with the wrong value takes the same lock, sees that, and returns.

use std::{
    io, ptr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use crate::{
    bare::Threads,
    fifo::{self, go_first},
    parts::{Witness, pin},
    report::Report,
    system::{self, now},
};

/// The sleepers' reason to wait, and another one.
const REASON: usize = 1;
const OTHER_REASON: usize = 2;
/// Calls that nobody keeps waiting, whose middle is what such a call takes by itself.
const ALONE: usize = 1_001;
/// Waits are asked for until enough were long, so many ns at most: on a busy machine the visitor seldom runs.
const PATIENCE: u64 = 30_000_000_000;

/// What both processes see.
#[derive(Default)]
struct Shared {
    futex: AtomicU32,
    sleepers: AtomicU64,
    /// 1: the sleepers are visited.
    visited: AtomicU32,
}

/// N waits of `us` and more behind visits to so many sleepers.
pub fn futex_waits(count: u64, sleepers: u64, us: u64) -> io::Result<Report> {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, nothing replaced.
    let page = unsafe { libc::mmap(ptr::null_mut(), 4096, access, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, which is a value of every field; aligned; never unmapped.
    let shared: &'static Shared = unsafe { &*page.cast() };
    let visitor = system::fork(|| {
        let _ = visit(shared, sleepers);
    })?;
    while shared.sleepers.load(Ordering::SeqCst) < sleepers {
        system::nanosleep(1_000_000);
    }
    pin(0)?;
    go_first(fifo::LOW)?;
    let alone_ns = alone(shared);
    shared.visited.store(1, Ordering::SeqCst);
    let (mut witness, end) = (Witness::new()?, now() + PATIENCE);
    while witness.calls() < count && now() < end {
        witness.watch(us * 1000, || wait_for_wrong_value(shared));
    }
    // SAFETY: a child of ours that is not reaped yet.
    unsafe { libc::kill(visitor, libc::SIGKILL) };
    system::reap(visitor);
    Ok(witness.report().with("alone_ns", alone_ns).with("sleepers", sleepers))
}

/// The child's life: it ends by a signal.
fn visit(shared: &Shared, sleepers: u64) -> io::Result<()> {
    let threads = Threads::new(sleepers as usize)?;
    for place in 0..sleepers as usize {
        threads.start(place, None, (sleep, ptr::from_ref(shared) as usize))?;
    }
    pin(1)?;
    go_first(fifo::LOW)?;
    while shared.visited.load(Ordering::SeqCst) == 0 {
        system::nanosleep(1_000_000);
    }
    loop {
        visit_sleepers(shared);
    }
}

extern "C" fn sleep(shared: usize) {
    // SAFETY: `visit` passes the address of what lives as long as the process.
    let shared = unsafe { &*(shared as *const Shared) };
    shared.sleepers.fetch_add(1, Ordering::SeqCst);
    loop {
        futex(shared, libc::FUTEX_WAIT_BITSET, 0, REASON);
    }
}

#[inline(never)]
fn visit_sleepers(shared: &Shared) {
    futex(shared, libc::FUTEX_WAKE_BITSET, i32::MAX as usize, OTHER_REASON);
}

#[inline(never)]
fn wait_for_wrong_value(shared: &Shared) {
    futex(shared, libc::FUTEX_WAIT_BITSET, 1, REASON);
}

#[inline(always)]
fn futex(shared: &Shared, operation: i32, value: usize, reason: usize) {
    let word = shared.futex.as_ptr() as usize;
    // SAFETY: the word lives as long as the process; no time limit and no second word are given.
    unsafe { system::call(libc::SYS_futex, [word, operation as usize, value, 0, 0, reason]) };
}

/// What the call takes when the lock is free.
fn alone(shared: &Shared) -> u64 {
    let mut times: Vec<u64> = (0..ALONE)
        .map(|_| {
            let begin = now();
            wait_for_wrong_value(shared);
            now() - begin
        })
        .collect();
    times.sort_unstable();
    times[ALONE / 2]
}
