//! What the host of this virtual machine does to a witness: while it has the CPU, the wall clock runs and the scheduler's
//! clock does not, and only the kernel's count of stolen time tells of it.
//!
//! In: a measurement that may be off, and by how much. Out: one that held, a failure, or a skip that is counted.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "each test file uses a part of it; figures of a run that is measured again are worth reading"
)]

use std::fs;

use super::skipped;

/// What a witness and the profiler disagree about.
pub struct Off {
    /// Both figures, and the bound.
    pub what: String,
    /// How far beyond the bound, ns.
    pub by_ns: u64,
}

/// A run whose times are off is measured again, and said: what is off by itself is off every time. If it is off every time
/// and the host took at least that much of the CPUs every time, then the witness knows no better and the test is skipped.
pub fn measured(test: &str, measure: impl Fn() -> Result<(), Off>) {
    const RUNS: usize = 4;
    let run = |_| {
        let before_ns = stolen_ns();
        let off = measure().err()?;
        let taken_ns = stolen_ns() - before_ns;
        println!("off by {} ns while the host took {taken_ns} ns: {}", off.by_ns, off.what);
        Some((off, taken_ns))
    };
    let offs: Vec<(Off, u64)> = (0..RUNS).map_while(run).collect();
    if offs.len() < RUNS {
        return;
    }
    let own = offs.iter().find(|(off, taken_ns)| off.by_ns > *taken_ns);
    assert!(own.is_none(), "{}, and the host took {} ns only", own.unwrap().0.what, own.unwrap().1);
    let told: Vec<String> = offs.iter().map(|(off, ns)| format!("{} ({ns} ns)", off.what)).collect();
    skipped(test, &format!("the host took more of the CPUs each time than was off: {}", told.join("; ")));
}

/// Time in which CPUs had work and the host did not run them, over all CPUs since boot, ns. The kernel tells ticks: what it has of
/// one that is not whole yet is not told.
fn stolen_ns() -> u64 {
    const NS_PER_TICK: u64 = 10_000_000;
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let ticks = stat.lines().next().unwrap().split_whitespace().nth(8).unwrap();
    ticks.parse::<u64>().unwrap() * NS_PER_TICK
}
