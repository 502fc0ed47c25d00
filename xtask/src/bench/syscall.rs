//! In: a `getppid` loop that counts its own CPU time. Out: the nanoseconds that each tracer adds to a
//! call, beside the floors and the peers.

use std::{
    fmt::Write as _,
    path::PathBuf,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{
    Options,
    machine::{self, Bystander, Tracefs},
    page, peer,
    rounds::{self, Series, Variant},
    statistics::{self, Random},
};
use crate::{command, workspace::Workspace};

/// What the workload prints.
#[derive(Deserialize)]
struct Loop {
    ps_per_call: f64,
}

const WHOLE: &str = "profiler, whole machine";
const EMPTY_FLOOR: &str = "floor: empty pair";
const CLOCK_FLOOR: &str = "floor: pair and two clock reads";

/// Which ratios the page states: numerator, denominator.
const RATIOS: [(&str, &str); 5] = [
    (WHOLE, "libbpf-tools syscount -L"),
    (WHOLE, "bpftrace raw tracepoints, hist"),
    (WHOLE, CLOCK_FLOOR),
    ("profiler, --pid of another", EMPTY_FLOOR),
    ("profiler, --cgroup of another", EMPTY_FLOOR),
];

pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let bystander = Bystander::start()?;
    let _tracefs = Tracefs::mount();
    let scratch = Scratch::new(workspace)?;
    let mut variants = own(workspace, &bystander, &scratch);
    variants.extend(peer::syscall_histograms());
    if let Some(only) = &options.only {
        variants.retain(|variant| variant.name.contains(only));
    }
    let workload = workspace.target().join("workload/x86_64-unknown-linux-gnu/release/workload");
    let measure = || {
        let mut command = Command::new(&workload);
        let output = command::read(command.args(["getppid-loop", &options.calls.to_string()]))?;
        let result: Loop = serde_json::from_str(&output).context("reading the workload's result")?;
        Ok(result.ps_per_call / 1000.0)
    };
    let series = rounds::run(&variants, options.rounds, &scratch.0.join("messages"), &measure)?;
    let text = described(&series, options.rounds);
    println!("\n{text}");
    // Fewer rounds, or not all variants, are for trying things out.
    if options.rounds >= 7 && options.only.is_none() {
        page::write_block(workspace, "syscall", &text)?;
    }
    Ok(())
}

/// The profiler's variants. The floors are programs of its own object, so that loader, flags and hooks
/// are the same: `profiler bench-floor --kind empty|clock` attaches them until SIGINT.
fn own(workspace: &Workspace, bystander: &Bystander, scratch: &Scratch) -> Vec<Variant> {
    let profiler = workspace.binary("release", "profiler").display().to_string();
    let words = |line: &[&str]| {
        std::iter::once(profiler.clone()).chain(line.iter().map(|&word| word.to_owned())).collect()
    };
    let record = |name, number: &str, target: &[&str]| {
        let output = scratch.0.join(number);
        let path = output.display().to_string();
        let line = [&["record", "--probe", "syscall", "-q"], target, &["-o", &path]].concat();
        Variant { name, words: words(&line), output: Some(output) }
    };
    vec![
        Variant { name: EMPTY_FLOOR, words: words(&["bench-floor", "--kind", "empty"]), output: None },
        Variant { name: CLOCK_FLOOR, words: words(&["bench-floor", "--kind", "clock"]), output: None },
        record(WHOLE, "whole", &[]),
        record("profiler, --pid of another", "pid", &["--pid", &bystander.pid()]),
        record("profiler, --cgroup of another", "cgroup", &["--cgroup", &bystander.cgroup()]),
    ]
}

/// Where the measured recordings write; removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(workspace: &Workspace) -> Result<Self> {
        let path = workspace.target().join(format!("bench/recordings-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn described(series: &[Series], rounds: usize) -> String {
    let mut text = format!(
        "Added time per `getppid`, one thread, by its own CPU time; {rounds} interleaved rounds in random order, \
         each traced run between two untraced ones. {}; {}.\n\n\
         | Tracer | added ns | 95 % interval | × untraced |\n|---|---|---|---|\n",
        machine::described(),
        today()
    );
    let mut random = Random::new(1);
    for one in series {
        let _ = match &one.failure {
            Some(reason) => writeln!(text, "| {} | not measured: {reason} | | |", one.name),
            None => writeln!(text, "{}", row(one, &mut random)),
        };
    }
    text.push_str("\n| Ratio of added time | median | 95 % interval |\n|---|---|---|\n");
    for (above, below) in RATIOS {
        if let Some(ratio) = ratio(series, (above, below), &mut random) {
            let _ = writeln!(text, "| {above} / {below} | {ratio} |");
        }
    }
    text
}

fn row(series: &Series, random: &mut Random) -> String {
    let added = statistics::estimate(&series.added, random);
    let untraced = statistics::median(&series.untraced);
    format!(
        "| {} | {:.1} | {:.1} – {:.1} | {:.2} |",
        series.name,
        added.median,
        added.low,
        added.high,
        (untraced + added.median) / untraced
    )
}

/// The ratio round by round, so that what the machine did in a round is in both.
fn ratio(series: &[Series], names: (&str, &str), random: &mut Random) -> Option<String> {
    let added = |name| series.iter().find(|one| one.name == name && one.failure.is_none());
    let (above, below) = (added(names.0)?, added(names.1)?);
    let pairs: Vec<f64> = above.added.iter().zip(&below.added).map(|(above, below)| above / below).collect();
    let ratio = statistics::estimate(&pairs, random);
    Some(format!("{:.2} | {:.2} – {:.2}", ratio.median, ratio.low, ratio.high))
}

/// The date, UTC, as year-month-day.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or(0);
    // SAFETY: all zero is a valid `tm`.
    let mut date: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both point to live values.
    unsafe { libc::gmtime_r(&seconds, &mut date) };
    format!("{}-{:02}-{:02}", date.tm_year + 1900, date.tm_mon + 1, date.tm_mday)
}
