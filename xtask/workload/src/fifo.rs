//! Threads of SCHED_FIFO: who runs and who waits is known by the wall clock alone, whatever a host takes from a virtual
//! CPU and whatever the scheduler's own clock makes of that.
//!
//! In: how many reads, of how much. Out: the calls' wall time, and how long a thread of a higher rank had their CPU.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    long_read::LongRead,
    report::Report,
    system::{self, now, pin},
};

/// Ranks of this class; a higher one goes first.
pub const LOW: i32 = 1;
pub const HIGH: i32 = 10;
/// The kernel gives threads of this class 95 % of each second: between two calls others have their turn, at least this long,
/// and half as long as the call was.
const GAP: Duration = Duration::from_millis(15);
/// A turn of the thread that goes first.
const TURN_NS: u64 = 5_000_000;

/// Puts the calling thread before all threads of the usual class.
///
/// # Errors
/// When the user may not.
pub fn go_first(rank: i32) -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: rank };
    // SAFETY: the kernel reads one record.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Begin and end of something that happened again and again, ns.
#[derive(Default)]
pub struct Spans(Vec<(u64, u64)>);

impl Spans {
    /// How often.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    fn total_ns(&self) -> u64 {
        self.0.iter().map(|(begin, end)| end - begin).sum()
    }

    /// Time that is in both.
    fn overlap_ns(&self, others: &Self) -> u64 {
        let common = |one: &(u64, u64), two: &(u64, u64)| one.1.min(two.1).saturating_sub(one.0.max(two.0));
        self.0.iter().flat_map(|one| others.0.iter().map(move |two| common(one, two))).sum()
    }
}

/// Takes the CPU from all of a lower rank for `turn_ns` every 3 to 7 ms, with a getppid in each turn, until told to stop.
///
/// # Errors
/// When the user may not.
pub fn take_turns(stop: &AtomicBool, turn_ns: u64) -> io::Result<Spans> {
    go_first(HIGH)?;
    let (mut random, mut turns) = (system::Random::new(), Spans::default());
    while !stop.load(Ordering::Relaxed) {
        // At random, so that it is no beat with what it interrupts.
        system::nanosleep(3_000_000 + random.next() % 4_000_000);
        let begin = now();
        std::hint::black_box(system::getppid());
        while now() - begin < turn_ns {}
        turns.0.push((begin, now()));
    }
    Ok(turns)
}

/// N long reads that nobody interrupts: all of their time they run.
///
/// # Errors
/// When the user may not go first.
pub fn first_reads(count: u64, ms: u64, read: LongRead) -> io::Result<Report> {
    go_first(LOW)?;
    let calls = long_reads((count, ms), read)?;
    Ok(report(&calls, 0))
}

/// N such reads on a CPU that a thread of a higher rank takes again and again: what it has of their time they wait.
///
/// # Errors
/// When the user may not go first.
pub fn outranked_reads(count: u64, ms: u64, read: LongRead) -> io::Result<Report> {
    pin(0)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| take_turns(&stop, TURN_NS));
        let calls = go_first(LOW).and_then(|()| long_reads((count, ms), read));
        stop.store(true, Ordering::Relaxed);
        let turns = other.join().map_err(|_| io::Error::other("the thread that goes first died"))??;
        let calls = calls?;
        Ok(report(&calls, turns.overlap_ns(&calls)))
    })
}

fn long_reads(numbers: (u64, u64), mut read: LongRead) -> io::Result<Spans> {
    let (mut calls, mut took) = (Spans::default(), Duration::ZERO);
    read.make_some(numbers, |read| {
        thread::sleep(GAP.max(took / 2));
        let begin = now();
        read.make();
        calls.0.push((begin, now()));
        took = Duration::from_nanos(now() - begin);
        Ok(())
    })?;
    Ok(calls)
}

fn report(calls: &Spans, delay_ns: u64) -> Report {
    let wall_ns = calls.total_ns();
    Report::new()
        .with("calls", calls.count())
        .with("wall_ns", wall_ns)
        .with("cpu_ns", wall_ns.saturating_sub(delay_ns))
        .with("delay_ns", delay_ns)
        .with("asleep_ns", 0)
}
