//! The parts of slow calls, for tables and for `summary.json`.
//!
//! In: sums by part. Out: a row of numbers that adds up to the wall time; a line of shares.

use std::collections::BTreeMap;

use serde::Serialize;

use super::lines::SyscallLine;
use crate::profile::parts::PartKey;
use crate::profile::{Part, Parts, Profile, StackId};
use crate::render::name::kernel_functions;
use crate::render::{cause, humane, locks};

/// `parts` of a row in `summary.json`: `wall_ns` is the sum of the others.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PartsRow {
    wall_ns: u64,
    on_cpu_ns: u64,
    spin_ns: u64,
    irq_ns: u64,
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
            irq_ns: parts.get(Part::Irq),
            lock_sleep_ns: parts.get(Part::LockSleep),
            sleep_ns: parts.get(Part::Sleep),
            runnable_ns: parts.runnable_ns(),
            interrupted_ns: parts.get(Part::Interrupted),
            unaccounted_ns: parts.get(Part::Unaccounted),
        })
    }
}

/// What a row of slow calls carries: its parts, and what two of them are made of.
#[derive(Debug, Serialize)]
pub struct Breakdown {
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<PartsRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runnable: Option<Runnable>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sleep_by: BTreeMap<&'static str, u64>,
}

/// Waiting for a CPU.
#[derive(Debug, Serialize)]
struct Runnable {
    woken_ns: u64,
    preempted_ns: u64,
    throttled_ns: u64,
}

impl Breakdown {
    /// That of one (process, call); empty where no parts were recorded.
    pub fn new(profile: &Profile, line: &SyscallLine<'_>) -> Self {
        let sums = &line.slow.parts;
        let parts = PartsRow::new(sums);
        let runnable = parts.is_some().then(|| Runnable {
            woken_ns: sums.get(Part::Woken),
            preempted_ns: sums.get(Part::Preempted),
            throttled_ns: sums.get(Part::Throttled),
        });
        let key = |kernel| PartKey { pid: line.pid, nr: line.nr, part: Part::Sleep, kernel };
        let mut sleep_by = BTreeMap::new();
        for (key, row) in profile.syscall.parts.range(key(StackId(0))..=key(StackId(u64::MAX))) {
            let functions = kernel_functions(&profile.stacks, key.kernel).map(locks::base);
            let ns: &mut u64 = sleep_by.entry(cause::of(functions).unwrap_or("other")).or_default();
            *ns = ns.saturating_add(row.ns);
        }
        Self { parts, runnable, sleep_by }
    }
}

/// `81 % asleep, 12 % on CPU, 7 % waiting for a CPU`: the largest first, down to 1 %; empty where no parts
/// were recorded.
pub fn shares(parts: &Parts) -> String {
    let wall = parts.sum();
    let short = |part| match part {
        Part::OnCpu => "on CPU",
        Part::Spin => "spinning",
        Part::Irq => "under interrupts",
        Part::LockSleep => "asleep on a lock",
        Part::Sleep => "asleep",
        Part::Woken => "waiting for a CPU (woken)",
        Part::Preempted => "waiting for a CPU (preempted)",
        Part::Throttled => "throttled by its CPU quota",
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
