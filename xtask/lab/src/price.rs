//! What the `lsm` probe adds to a `sendmsg`, by each of its backends and by bpftrace.
//!
//! In: a guest whose clock counts instructions (`-icount`), so that a time is a number of them. Out: a line `@price`
//! with its fields by tabs for each way: name, ns added per send (the middle, and the mean), or why there is none.

use std::{io::Write, path::Path, process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    recording::{Recording, Workload},
    wait::{self, Reaped},
};

const DIRECTORY: &str = "/tmp/price";
/// Datagrams of one measurement.
const SENDS: &str = "2000";
/// Runs of a way; the first brings rows and stacks into being.
const RUNS: usize = 3;
/// Of a machine whose every instruction takes as long.
const STEADY_NS: f64 = 20.0;

/// The profiler times its programs for 0.2 s at the start and every few seconds, which makes each run of them dearer.
const OWN_COST: Duration = Duration::from_millis(300);

/// One way to time the functions.
struct Way {
    name: &'static str,
    /// Arguments for `profiler record`; none is bpftrace.
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

/// Sends of one run, ns.
#[derive(Clone, Copy)]
struct Sends {
    middle: f64,
    mean: f64,
}

/// Measures every way; whether none failed.
///
/// # Errors
/// When the output is closed, or the guest's clock does not count instructions.
pub fn run(out: &mut dyn Write) -> Result<bool> {
    let untraced = sends()?;
    let again = sends()?;
    ensure!(
        (untraced.middle - again.middle).abs() < STEADY_NS,
        "two runs of the same took {} and {} ns a send: this machine's clock does not count instructions",
        untraced.middle,
        again.middle
    );
    let mut well = true;
    tell(out, "untraced", Ok(untraced))?;
    for way in &WAYS {
        let found = profiled(way);
        well &= found.is_ok();
        tell(out, way.name, found.map(|sends| less(sends, untraced)))?;
    }
    for (name, program) in BPFTRACE {
        // A peer that is not here, or cannot, is said.
        tell(out, name, peer(program).map(|sends| less(sends, untraced)))?;
    }
    Ok(well)
}

/// The functions that the profiler's own programs are at here, with a histogram for each.
const BPFTRACE: [(&str, [&str; 2]); 2] = [
    ("bpftrace kfunc/kretfunc, hist", ["kfunc", "kretfunc"]),
    ("bpftrace kprobe/kretprobe, hist", ["kprobe", "kretprobe"]),
];
const FUNCTIONS: [&str; 3] = ["security_socket_sendmsg", "apparmor_socket_sendmsg", "tomoyo_socket_sendmsg"];

fn less(sends: Sends, untraced: Sends) -> Sends {
    Sends { middle: sends.middle - untraced.middle, mean: sends.mean - untraced.mean }
}

fn tell(out: &mut dyn Write, name: &str, found: Result<Sends>) -> Result<()> {
    match found {
        Ok(Sends { middle, mean }) => writeln!(out, "@price\t{name}\t{middle:.0}\t{mean:.0}")?,
        Err(error) => {
            let why: String = format!("{error:#}").chars().filter(|letter| !letter.is_control()).collect();
            writeln!(out, "@price\t{name}\t{why}")?;
        }
    }
    Ok(out.flush()?)
}

fn profiled(way: &Way) -> Result<Sends> {
    let arguments = ["--probe", "lsm", "--lsm-hooks", way.hooks, "--backend", way.backend];
    let recording = Recording::start(&arguments, Path::new(DIRECTORY))?;
    thread::sleep(OWN_COST);
    let found = settled();
    let (summary, _) = recording.stop("lsm")?;
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

fn peer(kinds: [&str; 2]) -> Result<Sends> {
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
    std::fs::create_dir_all(DIRECTORY)?;
    let said = Path::new(DIRECTORY).join("bpftrace");
    let mut command = Command::new("bpftrace");
    command.args(["-e", &program]).stdout(std::fs::File::create(&said)?);
    command.stderr(std::fs::File::create(said.with_extension("stderr"))?);
    let mut child = Reaped(command.spawn().context("there is no bpftrace here")?);
    wait::until("bpftrace to be attached", wait::ATTACH, || {
        if let Some(status) = child.0.try_wait()? {
            let text = std::fs::read_to_string(said.with_extension("stderr")).unwrap_or_default();
            anyhow::bail!("bpftrace ended ({status}): {}", text.trim());
        }
        Ok(std::fs::read_to_string(&said)?.contains("ready").then_some(()))
    })?;
    let found = settled();
    child.signal(libc::SIGINT);
    child.ended("bpftrace to end", wait::USUAL)?;
    ensure!(std::fs::read_to_string(&said)?.contains("@security_socket_sendmsg"), "it counted nothing");
    found
}

fn settled() -> Result<Sends> {
    let mut found = sends()?;
    for _ in 1..RUNS {
        found = sends()?;
    }
    Ok(found)
}

/// The workload's own account.
fn sends() -> Result<Sends> {
    let mut workload = Workload::start("workload", &["udp-send", SENDS], Path::new(DIRECTORY))?;
    workload.go()?;
    let truth: Value = workload.truth()?;
    let number = |name: &str| truth[name].as_f64().with_context(|| format!("no {name} in {truth}"));
    Ok(Sends { middle: number("p50_ns")?, mean: number("total_ns")? / number("calls")? })
}
