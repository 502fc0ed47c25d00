//! What the `lsm` probe adds to a `sendmsg`.
//!
//! In: functions to time. Out: a price for each backend of the profiler, and for bpftrace by the same two mechanisms.

use std::{io::Write, path::Path, thread};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cost::{Cost, DIRECTORY, OWN_COST, Prices};
use super::peer::Peer;
use judge::wait;

use crate::recording::{self, Workload};

/// Datagrams of one measurement.
const SENDS: &str = "2000";
/// Runs of a way; the first brings rows and stacks into being.
const RUNS: usize = 3;

/// One way to time the functions.
struct Way {
    name: &'static str,
    /// Arguments for `profiler record`.
    backend: &'static str,
    hooks: &'static str,
}

const SEND: &str = "socket_sendmsg";
const BOTH: &str = "socket_sendmsg,sock_rcv_skb";

const WAYS: [Way; 4] = [
    Way { name: "fentry/fexit", backend: "lsm=fentry", hooks: SEND },
    Way { name: "kprobe/kretprobe", backend: "lsm=kprobe", hooks: SEND },
    Way { name: "fentry/fexit, receiving too", backend: "lsm=fentry", hooks: BOTH },
    Way { name: "kprobe/kretprobe, receiving too", backend: "lsm=kprobe", hooks: BOTH },
];

/// The functions that the profiler's own programs are at here, with a histogram for each.
const BPFTRACE: [(&str, [&str; 2]); 2] = [
    ("bpftrace kfunc/kretfunc, hist", ["kfunc", "kretfunc"]),
    ("bpftrace kprobe/kretprobe, hist", ["kprobe", "kretprobe"]),
];
const FUNCTIONS: [&str; 3] = ["security_socket_sendmsg", "apparmor_socket_sendmsg", "tomoyo_socket_sendmsg"];

/// Measures every way; whether none of ours failed.
///
/// # Errors
/// When the output is closed, or the guest's clock does not count instructions.
pub fn run(out: &mut dyn Write) -> Result<bool> {
    let mut prices = Prices::begin(out, sends)?;
    for way in &WAYS {
        prices.ours(way.name, profiled(way))?;
    }
    for (name, kinds) in BPFTRACE {
        prices.peer(name, bpftrace(kinds))?;
    }
    Ok(prices.well)
}

fn profiled(way: &Way) -> Result<Cost> {
    let arguments = ["--probe", "lsm", "--lsm-hooks", way.hooks, "--backend", way.backend];
    let recording = recording::start(&arguments, Path::new(DIRECTORY))?;
    thread::sleep(OWN_COST);
    let found = settled();
    let summary = recording::stop(recording)?.summary()?;
    let found = found?;
    // What was not timed cost nothing.
    let rows = summary["probes"]["lsm"]["rows"].as_array().context("no rows of lsm in the summary")?;
    let counted = rows
        .iter()
        .filter(|row| row["function"] == FUNCTIONS[0] && row["comm"] == "workload")
        .filter_map(|row| row["count"].as_u64())
        .sum::<u64>();
    let wanted = SENDS.parse::<u64>()? * RUNS as u64;
    ensure!(counted == wanted, "{counted} of {wanted} sends were timed");
    Ok(found)
}

fn bpftrace(kinds: [&str; 2]) -> Result<Cost> {
    let program: String = FUNCTIONS
        .iter()
        .map(|function| {
            let [enter, exit] = kinds;
            format!(
                "{enter}:{function} {{ @b{function}[tid] = nsecs; }} {exit}:{function} /@b{function}[tid]/ \
                 {{ @{function} = hist(nsecs - @b{function}[tid]); delete(@b{function}[tid]); }} "
            )
        })
        .collect();
    let program = format!("BEGIN {{ printf(\"ready\\n\"); }} {program}");
    let mut peer = Peer::start(&["bpftrace", "-e", &program])?;
    peer.says("ready", wait::ATTACH)?;
    let found = settled();
    let said = peer.stop(wait::USUAL)?;
    ensure!(said.contains("@security_socket_sendmsg"), "it counted nothing");
    found
}

fn settled() -> Result<Cost> {
    let mut found = sends()?;
    for _ in 1..RUNS {
        found = sends()?;
    }
    Ok(found)
}

/// The workload's own account.
fn sends() -> Result<Cost> {
    let mut workload = Workload::start("workload", &["udp-send", SENDS])?;
    workload.go()?;
    let truth: Value = workload.truth()?;
    let number = |name: &str| truth[name].as_f64().with_context(|| format!("no {name} in {truth}"));
    Ok(Cost { middle: number("p50_ns")?, mean: number("total_ns")? / number("calls")? })
}
