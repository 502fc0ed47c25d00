//! In: how long to burn CPU, or how many calls to make. Out: CPU time by the threads' own clocks.

use std::{hint::black_box, io, thread};

use crate::{
    report::Report,
    system::{self, Random, cpu_time, now},
    unit,
};

/// Two functions burning 70 to 30, in slices of random length, for that much CPU time.
pub fn seventy_thirty(ms: u64) -> Report {
    let mut random = Random::new();
    let (mut seventy, mut thirty, begin) = (0, 0, now());
    while seventy + thirty < ms * 1_000_000 {
        // 0.1 to 2.1 ms: no beat with any sampling frequency.
        let slice = 100_000 + random.next() % 2_000_000;
        // Each side follows its own sum, so that the ratio holds whatever the slices were.
        if seventy * 3 <= thirty * 7 {
            seventy += burn_seventy(slice);
        } else {
            thirty += burn_thirty(slice);
        }
    }
    Report::new().with("seventy_ns", seventy).with("thirty_ns", thirty).with("wall_ns", now() - begin)
}

#[inline(never)]
fn burn_seventy(nanoseconds: u64) -> u64 {
    let (begin, mut value) = (cpu_time(), 1_u64);
    let steps = unit::scaled(20_000);
    while cpu_time() - begin < nanoseconds {
        for step in 0..steps {
            value = black_box(value.wrapping_mul(31) ^ step);
        }
    }
    cpu_time() - begin
}

#[inline(never)]
fn burn_thirty(nanoseconds: u64) -> u64 {
    let (begin, mut value) = (cpu_time(), 1_u64);
    let steps = unit::scaled(20_000);
    while cpu_time() - begin < nanoseconds {
        for step in 0..steps {
            value = black_box(value.wrapping_add(17).rotate_left(5) ^ step);
        }
    }
    cpu_time() - begin
}

/// `count` calls of `getppid` in each thread.
pub fn getppid_loop(count: u64, threads: u64) -> io::Result<Report> {
    let workers: Vec<_> = (0..threads.max(1)).map(|_| thread::spawn(move || call_getppid(count))).collect();
    let (mut total, mut parts) = (0, Vec::new());
    for worker in workers {
        let (used, of_parts) = worker.join().map_err(|_| io::Error::other("a thread died"))?;
        total += used;
        parts.extend(of_parts);
    }
    parts.sort_unstable();
    let middle = parts.get(parts.len() / 2).copied().unwrap_or(0);
    let calls = count * threads.max(1);
    Ok(Report::new()
        .with("calls", calls)
        .with("cpu_ns", total)
        .with("ps_per_call", total.saturating_mul(1000) / calls.max(1))
        .with("p50_ps_per_call", middle.saturating_mul(1000 * PARTS) / count.max(1)))
}

/// The loop is timed in so many parts: the middle one has met the least of what else the machine does.
const PARTS: u64 = 40;

/// CPU time of all, and of each part.
#[inline(never)]
fn call_getppid(count: u64) -> (u64, Vec<u64>) {
    let begin = cpu_time();
    let parts = (0..PARTS).map(|part| {
        let begin = cpu_time();
        for _ in count * part / PARTS..count * (part + 1) / PARTS {
            black_box(system::getppid());
        }
        cpu_time() - begin
    });
    let parts = parts.collect();
    (cpu_time() - begin, parts)
}

/// A walk down the branches: which of the eight comes next is the next digit of the path.
struct Walk {
    path: u64,
    depth: u64,
    nanoseconds: u64,
}

/// `count` distinct user stacks of `depth` frames, each with one `getppid` and some CPU time, dealt out
/// to that many threads; one is the main thread.
pub fn many_stacks(count: u64, depth: u64, us: u64, threads: u64) -> io::Result<Report> {
    let threads = threads.max(1);
    let walk = move |first: u64| {
        let begin = cpu_time();
        for path in (first..count).step_by(threads as usize) {
            step(&mut Walk { path, depth, nanoseconds: us * 1000 });
        }
        cpu_time() - begin
    };
    let others: Vec<_> = (1..threads).map(|first| thread::spawn(move || walk(first))).collect();
    let mut used = walk(0);
    for other in others {
        used += other.join().map_err(|_| io::Error::other("a thread died"))?;
    }
    let distinct = if depth >= 21 { count } else { count.min(1 << (3 * depth)) };
    Ok(Report::new().with("stacks", distinct).with("calls", count).with("cpu_ns", used))
}

#[inline(always)]
fn step(walk: &mut Walk) {
    if walk.depth == 0 {
        return leaf(walk);
    }
    walk.depth -= 1;
    let digit = walk.path % 8;
    walk.path /= 8;
    BRANCHES[digit as usize](walk);
}

/// Eight functions with eight names: a name is all that tells them apart in a folded file.
macro_rules! branches {
    ($($name:ident = $digit:literal,)*) => {
        const BRANCHES: [fn(&mut Walk); 8] = [$($name),*];
        $(
            #[inline(never)]
            fn $name(walk: &mut Walk) {
                // Both keep the eight apart: different bodies are not merged, and the call is no tail call.
                black_box($digit);
                step(walk);
                black_box($digit);
            }
        )*
    };
}

branches! {
    branch_0 = 0, branch_1 = 1, branch_2 = 2, branch_3 = 3,
    branch_4 = 4, branch_5 = 5, branch_6 = 6, branch_7 = 7,
}

#[inline(never)]
fn leaf(walk: &Walk) {
    black_box(system::getppid());
    if walk.nanoseconds > 0 {
        let (begin, steps) = (cpu_time(), unit::scaled(2_000));
        while cpu_time() - begin < walk.nanoseconds {
            for step in 0..steps {
                black_box(step.wrapping_mul(31));
            }
        }
    }
}
