//! In: how many waits, and how long a visit shall last. Out: calls that do nothing but spin, for
//! milliseconds, by the caller's own clock. In a child process, many threads sleep on one futex. Another
//! thread there visits all of them again and again, under the lock of their hash bucket, and wakes none.
//! Here, a call waits for the same futex with the wrong value: it spins for that lock until the visit is
//! over, sees the wrong value, and returns.

use std::{
    io, ptr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use crate::{
    bare::Threads,
    fifo::{self, go_first},
    parts::Witness,
    report::Report,
    system::{self, now, pin},
    unit,
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
    /// What a visit to all of them takes, ns.
    visit_ns: AtomicU64,
    /// 1: the sleepers are visited.
    visited: AtomicU32,
}

/// Sleepers that are there, and what a visit to them takes.
pub struct Crowd {
    shared: &'static Shared,
    visitor: i32,
}

impl Crowd {
    /// So many sleepers that a visit lasts `ms`; no more than `most`.
    ///
    /// # Errors
    /// When there are fewer than two CPUs to run on, or no memory that two processes share.
    pub fn gather(ms: u64, most: u64) -> io::Result<Self> {
        if system::allowed_cpus().len() < 2 {
            return Err(io::Error::other("this needs two CPUs"));
        }
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, nothing replaced.
        let page = unsafe { libc::mmap(ptr::null_mut(), 4096, access, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed, which is a value of every field; aligned; never unmapped.
        let shared: &'static Shared = unsafe { &*page.cast() };
        let visitor = system::fork(|| {
            let _ = visit(shared, ms * 1000, most);
        })?;
        let ended = || {
            // SAFETY: a child of ours; no status is asked for.
            unsafe { libc::waitpid(visitor, ptr::null_mut(), libc::WNOHANG) == visitor }
        };
        while shared.visit_ns.load(Ordering::SeqCst) == 0 {
            if ended() {
                return Err(io::Error::other("the kernel refuses the sleepers"));
            }
            system::nanosleep(1_000_000);
        }
        Ok(Self { shared, visitor })
    }

    /// Waits of that and more, ns, are long: a quarter of a visit.
    pub fn long_ns(&self) -> u64 {
        self.shared.visit_ns.load(Ordering::SeqCst) / 4
    }
}

/// N long waits behind visits to the sleepers.
pub fn futex_waits(count: u64, crowd: &Crowd) -> io::Result<Report> {
    let shared = crowd.shared;
    pin(0)?;
    go_first(fifo::LOW)?;
    let alone_ns = alone(shared);
    shared.visited.store(1, Ordering::SeqCst);
    let (mut witness, end) = (Witness::new()?, now() + PATIENCE);
    while witness.calls() < count && now() < end {
        witness.watch(crowd.long_ns(), || wait_for_wrong_value(shared));
    }
    // SAFETY: a child of ours that is not reaped yet.
    unsafe { libc::kill(crowd.visitor, libc::SIGKILL) };
    system::reap(crowd.visitor);
    let sleepers = shared.sleepers.load(Ordering::SeqCst);
    Ok(witness
        .report()
        .with("alone_ns", alone_ns)
        .with("sleepers", sleepers)
        .with("long_ns", crowd.long_ns()))
}

/// The child's life: it ends by a signal.
fn visit(shared: &Shared, us: u64, most: u64) -> io::Result<()> {
    let threads = Threads::new(most as usize)?;
    let mut made = 0;
    // The sleepers may be anywhere, visits are made where the waiter is not.
    let unit = unit::lasting(us, (1000.min(most), most), |wanted| {
        while made < wanted {
            threads.start(made as usize, None, (sleep, ptr::from_ref(shared) as usize))?;
            made += 1;
        }
        while shared.sleepers.load(Ordering::SeqCst) < wanted {
            system::nanosleep(1_000_000);
        }
        Ok(unit::spent(|| visit_sleepers(shared)))
    })?;
    pin(1)?;
    go_first(fifo::LOW)?;
    shared.visit_ns.store(unit.ns.max(1), Ordering::SeqCst);
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
