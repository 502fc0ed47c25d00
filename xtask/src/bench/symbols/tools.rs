//! In: a running program. Out: its CPU samples by the profiler and by perf, all tools at the same time, counted.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    count::Tally,
    running::{Running, wait_for},
};
use crate::{bench::place::Place, command, statics};

/// Length of one recording of perf's.
pub const SECONDS: u64 = 5;
/// Ours begins before and ends after: perf 6.1 does not read a file in which BPF programs come or go.
const AROUND: u64 = 2;
/// Samples a second on each CPU.
pub const FREQUENCY: &str = "499";
/// Ways of perf, in the order of [`Measured`].
pub const PERF: [(&str, &str); 2] = [("perf -g", "fp"), ("perf dwarf", "dwarf,16384")];
/// How long a program warms up.
const WARM: Duration = Duration::from_secs(5);
/// Runs at most: BPF programs of others may come and go, too.
const RUNS: usize = 3;
/// The header of a capture is longer, and written once all is attached.
const HEADER: u64 = 200;

/// One program by all tools.
pub struct Measured {
    pub ours: Tally,
    pub perf: [Tally; 2],
}

/// # Errors
/// When a tool fails, or the program or its load ended.
pub fn measure(place: &Place<'_>, running: &Running) -> Result<Measured> {
    thread::sleep(WARM);
    let mut measured = once(place, running);
    for _ in 1..RUNS {
        let Err(error) = &measured else { break };
        println!("xtask: once more: {error:#}");
        measured = once(place, running);
    }
    measured
}

fn once(place: &Place<'_>, running: &Running) -> Result<Measured> {
    running.check()?;
    let directory = place.scratch.join("symbols");
    let _ = fs::remove_dir_all(&directory); // of the program before
    let data = PERF.map(|(name, _)| place.scratch.join(name.replace(' ', "-")));
    let mut tools = vec![start(&mut ours(place, running, &directory))?];
    let header = directory.join("capture.partial");
    let attached = || fs::metadata(&header).is_ok_and(|found| found.len() > HEADER).then_some(());
    wait_for("recording", attached)?;
    for ((_, way), data) in PERF.iter().zip(&data) {
        tools.push(start(&mut perf(way, data))?);
    }
    finish(tools, running)?;
    running.check()?;
    let [pointers, tables] = data.map(|data| script(running, &data));
    Ok(Measured { ours: folded(&directory)?, perf: [pointers?, tables?] })
}

fn ours(place: &Place<'_>, running: &Running, directory: &Path) -> Command {
    let mut record = Command::new(statics::binary(place.workspace, "profiler"));
    record.args(["record", "-q", "--probe", "cpu", "-F", FREQUENCY, "-d", &format!("{}s", SECONDS + AROUND)]);
    record.args(["--pid", &running.list(), "-o"]).arg(directory);
    record
}

/// Of the whole machine: events of threads are armed when a thread is switched in, so that their samples are where it was
/// switched in more often than ours are, and threads that start meanwhile may be missed.
fn perf(way: &str, data: &Path) -> Command {
    let mut record = Command::new("perf");
    record
        .args(["record", "-q", "-a", "-e", "cpu-clock", "-F", FREQUENCY, "--call-graph", way, "-o"])
        .arg(data);
    record.args(["--", "sleep", &SECONDS.to_string()]);
    record
}

fn start(record: &mut Command) -> Result<Child> {
    record.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    record.spawn().with_context(|| format!("starting {}", record.get_program().display()))
}

/// Waits for all of them; halfway, the runtime is asked for its names.
fn finish(tools: Vec<Child>, running: &Running) -> Result<()> {
    thread::sleep(Duration::from_secs(SECONDS / 2));
    let asked = match running.told.as_deref() {
        Some([program, words @ ..]) => command::read(Command::new(program).args(words)).map(drop),
        _ => Ok(()),
    };
    for mut tool in tools {
        let status = tool.wait().context("waiting for a recording")?;
        if !status.success() {
            bail!("a recording failed ({status})");
        }
    }
    asked
}

fn folded(directory: &Path) -> Result<Tally> {
    let path = directory.join("cpu.folded");
    let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Tally::of_folded(&String::from_utf8_lossy(&text)))
}

fn script(running: &Running, data: &Path) -> Result<Tally> {
    let mut script = Command::new("timeout");
    script.args(["180", "perf", "script", "--no-inline", "-F", "ip,sym,dso"]);
    script.args(["--pid", &running.list(), "-i"]).arg(data);
    let output = script.stderr(Stdio::null()).output().context("starting perf script")?;
    if !output.status.success() {
        bail!("perf script failed ({})", output.status);
    }
    Ok(Tally::of_script(&String::from_utf8_lossy(&output.stdout)))
}
