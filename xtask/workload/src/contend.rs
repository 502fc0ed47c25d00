//! In: how many threads, and for how long. Out: threads fighting for one kernel lock, with how often
//! each got through.

use std::{
    hint::black_box,
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::{
    burn,
    report::Report,
    system::{self, now},
    timed,
};

/// Threads duplicating and closing one descriptor: the spin lock of the descriptor table.
pub fn dup_close(threads: u64, ms: u64) -> io::Result<Report> {
    let ends = system::pipe(0)?;
    let report = contend(threads, ms, || dup_and_close(ends[0]));
    ends.into_iter().for_each(system::close);
    report
}

#[inline(never)]
fn dup_and_close(fd: i32) {
    // SAFETY: duplicates a descriptor that stays open.
    let copy = unsafe { system::call(libc::SYS_dup, [fd as usize, 0, 0, 0, 0, 0]) };
    if copy >= 0 {
        // SAFETY: closes the copy just made.
        unsafe { system::call(libc::SYS_close, [copy as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Threads writing to and reading from one pipe: its mutex.
pub fn pipe_contend(threads: u64, ms: u64) -> io::Result<Report> {
    let [reading, writing] = system::pipe(libc::O_NONBLOCK)?;
    contend(threads, ms, || pass_through_pipe(reading, writing))
}

#[inline(never)]
fn pass_through_pipe(reading: i32, writing: i32) {
    let mut block = [0; 16 * 1024];
    black_box(system::write(writing, &block));
    black_box(system::read(reading, &mut block));
}

fn contend(threads: u64, ms: u64, operation: impl Fn() + Sync) -> io::Result<Report> {
    let stop = AtomicBool::new(false);
    let begin = now();
    let operations = thread::scope(|scope| {
        let work = || {
            let mut done = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                operation();
                done += 1;
            }
            done
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        system::nanosleep(ms * 1_000_000);
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap_or(0)).sum()
    });
    Ok(Report::new().with("threads", threads).with("operations", operations).with("wall_ns", now() - begin))
}

/// What an incident looks like: answers that come late, two threads on one lock, and a busy process.
pub fn demo(ms: u64) -> io::Result<Report> {
    let burner = system::fork(|| drop(burn::seventy_thirty(ms / 3)))?;
    let contender = system::fork(|| contend_in_bursts(ms))?;
    let end = now() + ms * 1_000_000;
    let mut rounds = 0;
    while now() < end {
        timed::pipe_reads(4, 60)?;
        rounds += 1;
    }
    system::reap(burner);
    system::reap(contender);
    Ok(Report::new().with("late_reads", rounds * 4))
}

/// Ten bursts a second of 20 ms each: visible, without drowning everything else.
fn contend_in_bursts(ms: u64) {
    for _ in 0..ms / 100 {
        let _ = dup_close(2, 20);
        system::nanosleep(80_000_000);
    }
}
