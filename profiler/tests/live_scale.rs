//! Many of everything: a hundred thousand threads, ten thousand processes, ids that are given again, execs by
//! threads. What is counted, what it takes of memory, and what one task leaves to the next of its id.
//!
//! In: root; gigabytes of memory for the crowds, which are smaller where there are fewer, and say so. Out: count
//! and recorded losses are the truth; memory below the bounds that docs/performance.md states.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

mod support;

use std::fs;
use std::time::Instant;

use serde_json::Value;
use support::live::{Recorded, Recording, Workload, number};
use support::{can_run, skipped};

/// Threads that shall live at once.
const CROWD: u64 = 100_000;
/// Processes that shall come and go.
const PROCESSES: u64 = 10_000;
/// What a thread of the crowd takes of the machine's memory, bytes: stacks and kernel records.
const BYTES_PER_THREAD: u64 = 48 << 10;
/// Memory of the machine that the crowd leaves alone, bytes.
const SPARED: u64 = 2 << 30;

/// docs/performance.md, "Memory": kernel memory per thread inside the target, bytes.
const STATE_PER_THREAD: u64 = 4 << 10;

/// The kernel's highest id, raised; as it was when this drops.
struct PidMax(String);

impl PidMax {
    const PATH: &str = "/proc/sys/kernel/pid_max";

    fn raise() -> Self {
        let old = fs::read_to_string(Self::PATH).unwrap().trim().to_owned();
        let raised = old.parse::<u64>().unwrap().max(4 * CROWD).to_string();
        fs::write(Self::PATH, raised).unwrap();
        Self(old)
    }
}

impl Drop for PidMax {
    fn drop(&mut self) {
        let _ = fs::write(Self::PATH, &self.0);
    }
}

/// A line of `/proc/meminfo`, bytes.
fn memory(line: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// How many threads this machine has room for; says when they are fewer than they should be.
fn crowd(test: &str) -> u64 {
    let threads: u64 = fs::read_to_string("/proc/sys/kernel/threads-max").unwrap().trim().parse().unwrap();
    let room = memory("MemAvailable").saturating_sub(SPARED) / BYTES_PER_THREAD;
    let count = CROWD.min(threads.saturating_sub(10_000)).min(room);
    if count < CROWD {
        skipped(test, &format!("with {CROWD} threads: this machine has room for {count}, done with these"));
    }
    count
}
