//! The parts of slow calls, for tables and for `summary.json`.
//!
//! In: sums by part. Out: a row of numbers that adds up to the wall time; a line of shares.

use serde::Serialize;

use super::humane;
use crate::profile::{Part, Parts};

/// `parts` of a row in `summary.json`: `wall_ns` is the sum of the others.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PartsRow {
    wall_ns: u64,
    on_cpu_ns: u64,
    spin_ns: u64,
    lock_sleep_ns: u64,
    sleep_ns: u64,
    runnable_ns: u64,
    interrupted_ns: u64,
    unaccounted_ns: u64,
}

impl PartsRow {
    /// `None` where no parts were recorded.
    pub fn new(parts: &Parts) -> Option<Self> {
        let wall_ns = parts.sum();
        (wall_ns > 0).then(|| Self {
            wall_ns,
            on_cpu_ns: parts.get(Part::OnCpu),
            spin_ns: parts.get(Part::Spin),
            lock_sleep_ns: parts.get(Part::LockSleep),
            sleep_ns: parts.get(Part::Sleep),
            runnable_ns: parts.runnable_ns(),
            interrupted_ns: parts.get(Part::Interrupted),
            unaccounted_ns: parts.get(Part::Unaccounted),
        })
    }
}

/// `81 % asleep, 12 % on CPU, 7 % waiting for a CPU`: the largest first, down to 1 %; empty where no parts
/// were recorded.
pub fn shares(parts: &Parts) -> String {
    let wall = parts.sum();
    let short = |part| match part {
        Part::OnCpu => "on CPU",
        Part::Spin => "spinning",
        Part::LockSleep => "asleep on a lock",
        Part::Sleep => "asleep",
        Part::Woken => "woken, waiting for a CPU",
        Part::Preempted => "preempted",
        Part::Interrupted => "between restarts",
        Part::Unaccounted => "unaccounted",
    };
    let mut shown: Vec<_> = Part::ALL
        .into_iter()
        .filter(|part| u128::from(parts.get(*part)) * 100 >= u128::from(wall.max(1)))
        .collect();
    shown.sort_by_key(|part| std::cmp::Reverse(parts.get(*part)));
    let shown: Vec<_> = shown
        .into_iter()
        .map(|part| format!("{} {}", humane::part(parts.get(part), wall), short(part)))
        .collect();
    shown.join(", ")
}
