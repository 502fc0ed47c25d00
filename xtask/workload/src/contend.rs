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
    unit::{self, Unit},
};

/// Threads duplicating and closing one descriptor: the spin lock of the descriptor table.
pub fn dup_close(threads: u64, ms: u64) -> io::Result<Report> {
    let ends = system::pipe(0)?;
    let report = contend(threads, ms, || dup_and_close(ends[0]));
    ends.into_iter().for_each(system::close);
    report
}

/// As [`dup_close`], with a pause in each turn: an emulator that runs its CPUs in turns goes on to the next one there, so
/// that other work gets on. They seldom meet at the lock.
pub fn dup_close_paused(threads: u64, ms: u64) -> io::Result<Report> {
    let ends = system::pipe(0)?;
    let report = contend(threads, ms, || {
        dup_and_close(ends[0]);
        std::hint::spin_loop();
    });
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

/// A table of so many descriptors that to copy it takes `us`: the copy holds the table's spin lock while it visits them.
///
/// # Errors
/// When the kernel gives too few.
pub fn long_table(us: u64) -> io::Result<Unit> {
    let ends = system::pipe(0)?;
    let most = raise_descriptors() - 64;
    let mut there = Vec::new();
    unit::lasting(us, (1000.min(most), most), |wanted| {
        while (there.len() as u64) < wanted {
            // SAFETY: duplicates a descriptor that stays open; the copies stay open, too.
            let copy = unsafe { system::call(libc::SYS_dup, [ends[0] as usize, 0, 0, 0, 0, 0]) };
            if copy < 0 {
                return Err(io::Error::other("no descriptors left"));
            }
            there.push(copy as i32);
        }
        there.drain(wanted as usize..).for_each(system::close);
        thread::spawn(|| unit::spent(copy_table)).join().map_err(|_| io::Error::other("a thread died"))
    })
}

/// As many descriptors as the kernel allows this user; how many.
fn raise_descriptors() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let open = std::fs::read_to_string("/proc/sys/fs/nr_open").unwrap_or_default();
    // SAFETY: the kernel reads and writes one record each time; a refusal leaves the limit as it is.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        let most = open.trim().parse().unwrap_or(limit.rlim_max);
        let raised = libc::rlimit { rlim_cur: most, rlim_max: most };
        match libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) {
            0 => most,
            _ => limit.rlim_cur,
        }
    }
}

/// A thread duplicating and closing a descriptor of such a table while another thread copies it, again and again: waits are
/// long beside the distance of two clock reads.
pub fn dup_copied(table: Unit, ms: u64) -> io::Result<Report> {
    let ends = system::pipe(0)?;
    let stop = AtomicBool::new(false);
    let begin = now();
    let (operations, copies) = thread::scope(|scope| {
        let dup = scope.spawn(|| repeat(&stop, || dup_and_close(ends[0])));
        let copy = scope.spawn(|| repeat(&stop, || drop(thread::spawn(copy_table).join())));
        system::nanosleep(ms * 1_000_000);
        stop.store(true, Ordering::Relaxed);
        (dup.join().unwrap_or(0), copy.join().unwrap_or(0))
    });
    let report = Report::new()
        .with("threads", 2)
        .with("operations", operations)
        .with("copies", copies)
        .with("copy_ns", table.ns)
        .with("descriptors", table.amount);
    Ok(report.with("wall_ns", now() - begin))
}

/// Gives the calling thread a table of its own.
#[inline(never)]
pub fn copy_table() {
    // SAFETY: takes flags only; the thread uses no descriptor afterwards.
    unsafe { system::call(libc::SYS_unshare, [libc::CLONE_FILES as usize, 0, 0, 0, 0, 0]) };
}

/// Threads writing to and reading from one pipe: its mutex.
pub fn pipe_contend(threads: u64, ms: u64) -> io::Result<Report> {
    let [reading, writing] = system::pipe(libc::O_NONBLOCK)?;
    contend(threads, ms, || pass_through_pipe(reading, writing))
}

#[inline(never)]
fn pass_through_pipe(reading: i32, writing: i32) {
    // All the pipe holds, so that its mutex is held for long.
    let mut block = [0; 64 * 1024];
    black_box(system::write(writing, &block));
    black_box(system::read(reading, &mut block));
}

/// Threads that do the same at the same time, each on a CPU of its own if there are as many: on a busy machine the
/// scheduler may leave them all on one, where they never meet at a spin lock.
fn contend(threads: u64, ms: u64, operation: impl Fn() + Sync) -> io::Result<Report> {
    let stop = AtomicBool::new(false);
    let apart = system::allowed_cpus().len() as u64 >= threads;
    let begin = now();
    let work = |place: u64| {
        if apart {
            // Without it they may still meet.
            let _ = system::pin(place as usize);
        }
        repeat(&stop, &operation)
    };
    let operations = thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..threads).map(|place| scope.spawn(move || work(place))).collect();
        system::nanosleep(ms * 1_000_000);
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap_or(0)).sum()
    });
    Ok(Report::new().with("threads", threads).with("operations", operations).with("wall_ns", now() - begin))
}

/// Until told to stop; how often.
fn repeat(stop: &AtomicBool, operation: impl Fn()) -> u64 {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        operation();
        done += 1;
    }
    done
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
