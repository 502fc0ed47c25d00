//! Measurements that the host of this virtual machine can make wrong: while it has the CPU, the wall clock runs and the
//! scheduler's clock does not, and only the kernel's count of stolen time tells of it.
//!
//! In: a measurement that may be off, and by how much. Out: one that held, a failure, or a skip that is counted; every run
//! that was off is told in a line that begins with `FLAKED`.

#![allow(dead_code, clippy::panic, reason = "each test file uses a part of it; a test that is off fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use judge::bounds::Off;
use judge::runs::{self, Verdict};

use super::skipped;

/// CPU time that this machine takes to spell, sort and count that many different stacks of so many names, seconds: what
/// our own work on stacks is compared with, where its absolute time would say how fast the CPU is.
pub fn yardstick_s(stacks: u64, depth: u64) -> f64 {
    let begin = cpu_ns();
    let mut folded = BTreeMap::new();
    for stack in 0..stacks {
        let mut line = String::new();
        for level in 0..depth {
            let _ = write!(line, "workload::burn::branch_{};", (stack >> (3 * level)) % 8);
        }
        *folded.entry(line).or_insert(0_u64) += 1;
    }
    assert_eq!(std::hint::black_box(&folded).len() as u64, stacks);
    drop(folded);
    (cpu_ns() - begin) as f64 / 1e9
}

/// CPU time of a `getppid`, the middle of many: what a program of a few hundred instructions is compared with.
pub fn call_ns() -> f64 {
    const CALLS: u64 = 1000;
    let mut times: Vec<u64> = (0..201)
        .map(|_| {
            let begin = cpu_ns();
            for _ in 0..CALLS {
                // SAFETY: takes nothing and cannot fail.
                unsafe { libc::syscall(libc::SYS_getppid) };
            }
            cpu_ns() - begin
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2] as f64 / CALLS as f64
}

/// The calling thread's CPU time.
fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Holds a measurement to the rule for live tests; see `judge::runs`.
pub fn measured(test: &str, measure: impl Fn() -> Result<(), Off>) {
    let flaked = |told: &[String]| {
        for what in told {
            let _ = writeln!(std::io::stdout(), "\nFLAKED {test}: {what}");
        }
    };
    match super::live::told(runs::judge(runs::TEST, || Ok(measure()?))) {
        Verdict::Right((), told) => flaked(&told),
        Verdict::Wrong(told) => {
            flaked(&told);
            panic!("{}", told.join("; "));
        }
        Verdict::Untold(told) => {
            let why = format!("no more was off than was taken from the CPUs: {}", told.join("; "));
            skipped(test, &why);
        }
    }
}
