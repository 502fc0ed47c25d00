//! The `spin` part of long calls that do nothing but spin, against the clock of the thread that makes them.
//!
//! In: root, two CPUs. Out: spinning within 2 % of what the calls took, less what such a call takes when nobody keeps
//! it waiting, in the same run. The witness is the wall clock of a thread that nobody preempts: the scheduler's own
//! clock stands still where ticks are late, as they are on a virtual CPU that halts while it waits for a lock.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

mod support;

use support::limits::PidMax;
use support::live::{Off, Recording, Workload, assert_within, measured, number};
use support::{can_run, skipped};

/// Sleepers behind one futex: a visit to all of them takes milliseconds.
const SLEEPERS: u64 = 40_000;
/// Calls that spin for long.
const CALLS: u64 = 60;

#[test]
fn long_spins_are_told_within_two_percent() {
    let test = "long_spins_are_told_within_two_percent";
    if !can_run(test, &[]) {
        return;
    }
    if std::thread::available_parallelism().unwrap().get() < 2 {
        skipped(test, "needs two CPUs");
        return;
    }
    let _pid_max = PidMax::raise(4 * SLEEPERS);
    measured(spins);
}

/// Off is a run in which call and caller disagree on how long the calls were: what came between their clocks is in no part.
fn spins() -> Result<(), Off> {
    let workload = Workload::start(&["futex-spins", &CALLS.to_string(), &SLEEPERS.to_string(), "1000"]);
    let pid = workload.pid();
    let recording = Recording::start(&["--pid", &pid.to_string(), "--slow", "1ms"]);
    let truth = workload.finish();
    let recorded = recording.stop();
    println!("{truth}");
    assert_eq!(number(&truth, "calls"), CALLS, "long waits in half a minute");
    let parts = &recorded.call(pid, "futex")["parts"];
    println!("{parts}");
    let (wall, delay) = (number(&truth, "wall_ns"), number(&truth, "delay_ns"));
    if number(parts, "wall_ns").abs_diff(wall) * 100 > wall {
        return Err(format!("the calls took {}, {wall} by their thread's clock", parts["wall_ns"]));
    }
    let spun = wall - delay - CALLS * number(&truth, "alone_ns");
    let spin = number(parts, "spin_ns");
    println!("{CALLS} calls: {} ns each, {} of them spinning", spun / CALLS, spin / CALLS);
    assert_within("spinning", spin, spun, 0.02);
    Ok(())
}
