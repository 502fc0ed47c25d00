//! In: how much of the same to do. Out: what each piece took, so that a benchmark sees what a tracer adds.

use std::{fmt::Write as _, hint::black_box, io, thread};

use crate::{
    report::Report,
    system::{self, clock, cpu_time, now},
};

/// The same work over and over: CPU time of the middle chunk and of all.
pub fn fixed_work(chunks: u64, steps: u64) -> Report {
    let durations = (0..chunks).map(|_| work(steps)).collect();
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
    pin_to_last_cpu()?;
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

#[inline(never)]
fn pass(from: i32, to: i32) {
    system::read(from, &mut [0]);
    system::write(to, b"!");
}

/// The last one allowed: interrupts and everybody's first choice are on CPU 0.
fn pin_to_last_cpu() -> io::Result<()> {
    // SAFETY: all zero is the empty set, which both calls read or fill by its size.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size, &mut allowed) != 0 {
            return Err(io::Error::last_os_error());
        }
        let last = (0..libc::CPU_SETSIZE as usize).rev().find(|&cpu| libc::CPU_ISSET(cpu, &allowed));
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(last.unwrap_or(0), &mut one);
        match libc::sched_setaffinity(0, size, &one) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
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
