//! The `spin` part of long calls that do nothing but spin, against the clock of the thread that makes them.
//!
//! In: root, two CPUs. Out: spinning within 2 % of what the calls took, less what such a call takes when nobody keeps
//! it waiting, in the same run. The witness is the wall clock of a thread that nobody preempts: the scheduler's own
//! clock stands still where ticks are late, as they are on a virtual CPU that halts while it waits for a lock, and where
//! the host takes the CPU. By how much the two clocks differ is how much the witness cannot place. Nor can it place a
//! wait for the CPU: that is by the scheduler's clock, and where it stood still in the spin it catches up in the wait.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use crate::support::limits::{CROWD, PidMax, crowd};
use crate::support::live::{Recording, Workload, assert_within, number};
use crate::support::{can_run, has_two_cpus, skipped};

/// As many sleepers behind one futex as make a visit to all of them last this long, or as many as may be.
const VISIT_MS: u64 = 6;
/// Calls that spin for long.
const CALLS: u64 = 60;
/// How often at most it is measured.
const RUNS: usize = 4;
/// The witness knows when it cannot place more than this, in percent.
const TOLD: u64 = 2;

#[test]
fn long_spins_are_told_within_two_percent() {
    let test = "long_spins_are_told_within_two_percent";
    if !can_run(test, &[]) {
        return;
    }
    if !has_two_cpus(test) {
        return;
    }
    let _pid_max = PidMax::raise(4 * CROWD);
    let widths: Vec<u64> = (0..RUNS).map_while(|_| Some(spins()).filter(|width| *width > TOLD)).collect();
    if widths.len() == RUNS {
        skipped(test, &format!("the host took so much of a CPU that spins were held to {widths:?} % only"));
    }
}

/// Measures once; how much of the calls the witness cannot place, in percent: while the host has the CPU, no clock of the
/// thread's but the wall's runs, and whether that was within the calls nobody here knows.
fn spins() -> u64 {
    let words = [CALLS, VISIT_MS, crowd()].map(|number| number.to_string());
    let workload = Workload::start(&["futex-spins", &words[0], &words[1], &words[2]]);
    let (pid, slow) = (workload.pid(), workload.slow());
    let recording = Recording::start(&["--pid", &pid.to_string(), &slow[0], &slow[1]]);
    let truth = workload.finish();
    let recorded = recording.stop();
    println!("{truth}");
    assert_eq!(number(&truth, "calls"), CALLS, "long waits in half a minute");
    let parts = &recorded.call(pid, "futex")["parts"];
    println!("{parts}");
    let alone = CALLS * number(&truth, "alone_ns");
    let most = number(&truth, "wall_ns") - alone;
    let doubt = number(&truth, "delay_ns") + number(&truth, "asleep_ns");
    let (least, spin) = (most - doubt, number(parts, "spin_ns"));
    println!("spinning: measured {spin}, the witness says {least} to {most}");
    assert_within("spinning", spin, spin.clamp(least, most), 0.02);
    100 * (most - least) / most
}
