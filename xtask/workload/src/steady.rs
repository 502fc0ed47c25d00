//! In: how much of the same to do. Out: what each piece took, so that a benchmark sees what a tracer adds.

use std::{
    fmt::Write as _,
    hint::black_box,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
};

use crate::{
    report::Report,
    system::{self, clock, cpu_time, now},
    unit,
};

/// The same work over and over: CPU time of the middle chunk and of all.
pub fn fixed_work(chunks: u64, steps: u64) -> Report {
    let durations = (0..chunks).map(|_| work(unit::scaled(steps))).collect();
    Report::new().with_calls(durations)
}

#[inline(never)]
fn work(steps: u64) -> u64 {
    let (begin, mut value) = (cpu_time(), 1_u64);
    for step in 0..steps {
        value = black_box(value.wrapping_mul(31) ^ step);
    }
    cpu_time() - begin
}

/// The game is timed in so many parts: the middle one has met the least of what else the machine does.
const PARTS: u64 = 20;

/// Two threads on one CPU that pass a byte back and forth: every read blocks, so that each write and
/// read ends in one context switch.
pub fn ping_pong(round_trips: u64) -> io::Result<Report> {
    // Interrupts and everybody's first choice are on the first one.
    system::pin(system::allowed_cpus().len() - 1)?;
    let ([asked, asking], [answered, answering]) = (system::pipe(0)?, system::pipe(0)?);
    // Threads inherit the CPU of their creator.
    let other = thread::spawn(move || {
        for _ in 0..round_trips {
            pass(asked, answering);
        }
    });
    let (begin_ns, mut parts) = (now(), Vec::new());
    for part in 0..PARTS {
        let begin = clock(libc::CLOCK_PROCESS_CPUTIME_ID);
        for _ in round_trips * part / PARTS..round_trips * (part + 1) / PARTS {
            system::write(asking, b"?");
            system::read(answered, &mut [0]);
        }
        parts.push(clock(libc::CLOCK_PROCESS_CPUTIME_ID) - begin);
    }
    let wall_ns = now() - begin_ns;
    other.join().map_err(|_| io::Error::other("a thread died"))?;
    parts.sort_unstable();
    let middle = parts.get(parts.len() / 2).copied().unwrap_or(0);
    let switches = round_trips * 2;
    Ok(Report::new()
        .with("switches", switches)
        .with("calls", switches * 2)
        .with("wall_ns", wall_ns)
        .with("p50_ps_per_switch", middle.saturating_mul(1000 * PARTS) / switches.max(1)))
}

/// What looks like a mutex of glibc that somebody holds: word, count, owner, users, kind.
struct Held([AtomicU32; 5]);

impl Held {
    /// Sleeps until it is given, and takes it again.
    fn take(&self) {
        let [word, ..] = &self.0;
        while word.load(SeqCst) == 2 {
            self.futex(libc::FUTEX_WAIT, 2);
        }
        word.store(2, SeqCst);
    }

    fn give(&self) {
        self.0[0].store(0, SeqCst);
        self.futex(libc::FUTEX_WAKE, 1);
    }

    fn futex(&self, operation: i32, value: usize) {
        let operation = (operation | libc::FUTEX_PRIVATE_FLAG) as usize;
        // SAFETY: the word is alive, no time limit is given.
        unsafe { system::call(libc::SYS_futex, [(&raw const self.0) as usize, operation, value, 0, 0, 0]) };
    }
}

/// Two threads on one CPU that wait for each other by futexes: each wait and wake ends in one context switch.
pub fn futex_ping_pong(round_trips: u64) -> io::Result<Report> {
    system::pin(system::allowed_cpus().len() - 1)?;
    let held = || Arc::new(Held([2, 0, std::process::id(), 1, 0].map(AtomicU32::new)));
    let (ours, theirs) = (held(), held());
    let (mine, yours) = (Arc::clone(&theirs), Arc::clone(&ours));
    let other = thread::spawn(move || {
        for _ in 0..round_trips {
            mine.take();
            yours.give();
        }
    });
    let mut parts = Vec::new();
    for part in 0..PARTS {
        let begin = clock(libc::CLOCK_PROCESS_CPUTIME_ID);
        for _ in round_trips * part / PARTS..round_trips * (part + 1) / PARTS {
            theirs.give();
            ours.take();
        }
        parts.push(clock(libc::CLOCK_PROCESS_CPUTIME_ID) - begin);
    }
    other.join().map_err(|_| io::Error::other("a thread died"))?;
    parts.sort_unstable();
    let switches = round_trips * 2;
    let middle = parts.get(parts.len() / 2).copied().unwrap_or(0);
    let report = Report::new().with("switches", switches);
    Ok(report.with("p50_ps_per_switch", middle.saturating_mul(1000 * PARTS) / switches.max(1)))
}

/// Games of [`switch_ns`], and its calls of `getppid`.
const GAMES: usize = 1001;
pub const SWITCH_CALLS: u64 = 2 * GAMES as u64;

/// What it takes one thread to wake another of its CPU, to go to sleep, and the other to run, without the two calls that this
/// takes: the middle of many, by the wall clock.
pub fn switch_ns() -> io::Result<u64> {
    let ([asked, asking], [answered, answering]) = (system::pipe(0)?, system::pipe(0)?);
    let game = move || -> io::Result<Vec<u64>> {
        system::pin(system::allowed_cpus().len() - 1)?;
        let other = thread::spawn(move || (0..GAMES).for_each(|_| pass(asked, answering)));
        let once = |_| {
            let begin = now();
            system::write(asking, b"?");
            system::read(answered, &mut [0]);
            let halves = now();
            black_box((system::getppid(), system::getppid()));
            let calls = now() - halves;
            ((halves - begin) / 2).saturating_sub(calls)
        };
        let times = (0..GAMES).map(once).collect();
        other.join().map_err(|_| io::Error::other("a thread died"))?;
        Ok(times)
    };
    let times = thread::spawn(game).join().map_err(|_| io::Error::other("a thread died"))?;
    let mut times = times?;
    times.sort_unstable();
    [asked, asking, answered, answering].into_iter().for_each(system::close);
    Ok(times[GAMES / 2])
}

#[inline(never)]
fn pass(from: i32, to: i32) {
    system::read(from, &mut [0]);
    system::write(to, b"!");
}

/// A `getppid` every `us`, and when each was made: how many a tracer counted says when it began.
pub fn paced_calls(count: u64, us: u64) -> Report {
    let begin = now();
    let mut times = String::from("[");
    for index in 0..count {
        let due = begin + index * us * 1000;
        system::nanosleep(due.saturating_sub(now()));
        let _ = write!(times, "{}{}", if index == 0 { "" } else { "," }, now());
        black_box(system::getppid());
    }
    times.push(']');
    Report::new().with("calls", count).with_list("times_ns", &times)
}
