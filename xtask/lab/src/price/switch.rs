//! What all probes add to a context switch.
//!
//! In: two threads of one CPU that pass a byte back and forth. Out: a price for the profiler with its default probes, for bcc's
//! `offcputime` and `syscount -L` together, and for those of libbpf-tools. Who did not see the switches has no price.

use std::{
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cost::{Cost, DIRECTORY, OWN_COST, Prices};
use super::peer::Peer;
use crate::recording::{self, Workload};

/// Back and forth of one measurement: two switches, four calls each.
const ROUND_TRIPS: u64 = 20_000;
/// And before it, which brings rows and stacks into being.
const WARM_UP: u64 = 1000;
/// From one window in which the profiler times its programs to the next.
const BETWEEN_WINDOWS: Duration = Duration::from_secs(4);
/// bcc compiles with clang, on an emulated CPU.
const COMPILE: Duration = Duration::from_secs(150);

/// `offcputime` and `syscount` of one make.
const PEERS: [(&str, [&[&str]; 2]); 2] = [
    ("bcc offcputime and syscount -L", [&["offcputime-bpfcc", "-f"], &["syscount-bpfcc", "-L"]]),
    ("libbpf-tools offcputime and syscount -L", [&["libbpf-offcputime"], &["libbpf-syscount", "-L"]]),
];

/// Measures every way; whether ours did not fail.
///
/// # Errors
/// When the output is closed, or the guest's clock does not count instructions.
pub fn run(out: &mut dyn Write) -> Result<bool> {
    let mut prices = Prices::begin(out, settled)?;
    prices.ours("profiler, all probes", profiled())?;
    for (name, [off_cpu, syscalls]) in PEERS {
        prices.peer(name, traced(off_cpu, syscalls))?;
    }
    Ok(prices.well)
}

fn profiled() -> Result<Cost> {
    let recording = recording::start(&[], Path::new(DIRECTORY))?;
    let begin = Instant::now();
    thread::sleep(OWN_COST);
    let found = settled();
    let took = begin.elapsed();
    let summary = recording::stop(recording)?.summary()?;
    ensure!(
        took < BETWEEN_WINDOWS,
        "it took {} ms, beyond the next time that it times its programs",
        took.as_millis()
    );
    // A read finds its byte at times, after the other thread was woken and ran at once.
    for (probe, at_least) in [("syscall", 2 * calls_of_a_kind()), ("offcpu", calls_of_a_kind() / 2)] {
        let rows =
            summary["probes"][probe]["rows"].as_array().with_context(|| format!("no rows of {probe}"))?;
        let of_workload = rows.iter().filter(|row| row["comm"] == "workload");
        let counted = of_workload.filter_map(|row| row["count"].as_u64()).sum::<u64>();
        ensure!(counted >= at_least, "{probe} counted {counted} of at least {at_least}");
    }
    found
}

fn traced(off_cpu: &[&str], syscalls: &[&str]) -> Result<Cost> {
    let mut peers = [Peer::start(off_cpu)?, Peer::start(syscalls)?];
    for peer in &mut peers {
        peer.is_quiet(COMPILE)?;
    }
    let found = settled()?;
    let [off_cpu, syscalls] = peers.map(|peer| peer.stop(COMPILE));
    let (blocked_us, reads) = (off_cpu_us(&off_cpu?), reads(&syscalls?));
    // One of the two threads is off the CPU all the time.
    let wanted_us = found.mean * (2 * ROUND_TRIPS) as f64 / 1000.0;
    ensure!(blocked_us > wanted_us / 2.0, "offcputime saw {blocked_us} of {wanted_us:.0} µs");
    ensure!(reads >= calls_of_a_kind(), "syscount saw {reads} of {} reads", calls_of_a_kind());
    Ok(found)
}

/// Of `read` as of `write`, by both threads.
fn calls_of_a_kind() -> u64 {
    2 * (ROUND_TRIPS + WARM_UP)
}

/// What `offcputime` says of the workload: bcc's folded lines begin with its name and end in a number; libbpf-tools have
/// the number on the line below the name.
fn off_cpu_us(text: &str) -> f64 {
    let mut lines = text.lines();
    let mut sum = 0.0;
    while let Some(line) = lines.next() {
        let number = if line.starts_with("workload;") {
            line.rsplit(' ').next()
        } else if line.contains(" workload (") {
            lines.next()
        } else {
            None
        };
        sum += number.and_then(|number| number.trim().parse::<f64>().ok()).unwrap_or(0.0);
    }
    sum
}

/// How many `read` a table of `syscount` has.
fn reads(text: &str) -> u64 {
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter_map(|row| row.strip_prefix(&["read"])?.first()?.parse::<u64>().ok()).sum()
}

fn settled() -> Result<Cost> {
    switches(WARM_UP)?;
    switches(ROUND_TRIPS)
}

/// The workload's own account: the middle by its CPU time, the mean by the clock, with what preempted it.
fn switches(round_trips: u64) -> Result<Cost> {
    let words = ["ping-pong", &round_trips.to_string()];
    let mut workload = Workload::start("workload", &words)?;
    workload.go()?;
    let truth: Value = workload.truth()?;
    let number = |name: &str| truth[name].as_f64().with_context(|| format!("no {name} in {truth}"));
    Ok(Cost { middle: number("p50_ps_per_switch")? / 1000.0, mean: number("wall_ns")? / number("switches")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_time_off_the_cpu_are_added() {
        let folded = "workload;[unknown];schedule;pipe_read 1200\nother;schedule 7\n";
        let lines = "    pipe_read\n    -                workload (12)\n        34\n\n    -                other (1)\n        5\n";
        assert!((off_cpu_us(&format!("{folded}{lines}")) - 1234.0).abs() < 0.1);
    }

    #[test]
    fn reads_are_told_from_other_calls() {
        let table = "SYSCALL                   COUNT        TIME (us)\nread     41   3.5\npread64   7  1.0\n";
        assert_eq!(reads(table), 41);
    }
}
