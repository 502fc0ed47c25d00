//! In: a workload with as many stacks as wanted. Out: how long it takes from the end of recording to the
//! flame graph, beside `perf script | inferno-collapse-perf | inferno-flamegraph`; and who keeps every
//! sample of 10⁵ stacks, in how much memory.

use std::{
    fmt::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{
    machine, page, peer,
    place::{self, Place},
    rounds::Variant,
    statistics::{self, Random},
    tracer::{Ended, Tracer},
    verdict::{Verdicts, ratios},
};
use crate::command;

/// What the workload prints.
#[derive(Deserialize)]
struct Walked {
    cpu_ns: f64,
}

const FREQUENCY: &str = "4999";
/// CPU time of a stack: just above the distance of two samples, so that each is met.
const STACK_US: &str = "210";
const DEPTH: &str = "20";
const THREADS: &str = "2";
/// bpftrace resolves its stacks at the end, one by one.
const PATIENCE: Duration = Duration::from_secs(120);

/// One recording and its picture.
struct Taken {
    samples: u64,
    stacks: usize,
    /// Samples that the workload's CPU time stands for.
    expected: f64,
    /// Seconds from the signal to the tracer's end, and CPU seconds of it.
    stop: (f64, f64),
    /// Seconds from the tracer's end to the picture, and CPU seconds of it.
    picture: (f64, f64),
}

/// Stop to picture, of a few thousand samples and of tens of thousands.
///
/// # Errors
/// When the workload cannot be measured or the page cannot be written.
pub fn speed(place: &Place<'_>) -> Result<()> {
    let mut random = Random::new(u64::from(std::process::id()));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=place.rounds {
        let mut order = [true, false];
        random.shuffle(&mut order);
        for own in order {
            if own {
                ours.push(profiled(place, "20000")?);
            } else {
                theirs.push(perfed(place, "20000")?);
            }
        }
        println!("xtask: round {round} of {} done", place.rounds);
    }
    page::write_block(place, "picture", &speed_described(&ours, &theirs))
}

fn speed_described(ours: &[Taken], theirs: &[Taken]) -> String {
    let mut text = format!(
        "From the end of recording to the flame graph: about 20,000 distinct stacks of one process. {} rounds. {}.\n\n\
         | Way | samples | distinct stacks | s | CPU s |\n|---|---|---|---|---|\n",
        ours.len(),
        machine::described()
    );
    let middle = |all: &[Taken], figure: fn(&Taken) -> f64| statistics::median(&each(all, figure));
    for (name, all, figures) in [
        ("profiler: SIGINT to exit, with SVG, folded file, tables and summary", ours, STOP),
        ("perf record: SIGINT to exit", theirs, STOP),
        ("perf script, inferno-collapse-perf, inferno-flamegraph", theirs, PICTURE),
    ] {
        let _ = writeln!(
            text,
            "| {name} | {:.0} | {:.0} | {:.3} | {:.3} |",
            middle(all, |one| one.samples as f64),
            middle(all, |one| one.stacks as f64),
            middle(all, figures.0),
            middle(all, figures.1)
        );
    }
    let mut random = Random::new(6);
    let mut verdicts = Verdicts::new("Profiler / the pipeline alone");
    verdicts.median("time", &ratios(&each(ours, STOP.0), &each(theirs, PICTURE.0)), 1.0 / 3.0, &mut random);
    verdicts.open("CPU time", &ratios(&each(ours, STOP.1), &each(theirs, PICTURE.1)), &mut random);
    let _ = write!(text, "\n{}", verdicts.finish());
    text
}

type Figures = (fn(&Taken) -> f64, fn(&Taken) -> f64);
const STOP: Figures = (|one| one.stop.0, |one| one.stop.1);
const PICTURE: Figures = (|one| one.picture.0, |one| one.picture.1);

fn each(all: &[Taken], figure: fn(&Taken) -> f64) -> Vec<f64> {
    all.iter().map(figure).collect()
}

/// 10⁵ distinct stacks: who keeps them.
///
/// # Errors
/// When the workload cannot be measured or the page cannot be written.
pub fn stacks(place: &Place<'_>) -> Result<()> {
    const COUNT: &str = "110000";
    let mut text = format!(
        "One process with {COUNT} distinct stacks at {FREQUENCY} Hz, once. Expected samples are its CPU time by its \
         own clock times the frequency. {}. {}.\n\n\
         | Tracer | samples kept | of the expected | distinct stacks | SIGINT to exit s | picture s |\n\
         |---|---|---|---|---|---|\n",
        machine::described(),
        peer::bpftrace_version(),
    );
    let ours = profiled(place, COUNT)?;
    let summary = place::summary(&place.scratch.join("picture"))?;
    kept("profiler", Ok(&ours), &mut text);
    kept("perf record -g, inferno", perfed(place, COUNT).as_ref(), &mut text);
    for index in 0..peer::cpu_stacks(place, "0", FREQUENCY).len() {
        let name = peer::cpu_stacks(place, "0", FREQUENCY).swap_remove(index).name;
        kept(name, aggregated(place, index, COUNT).as_ref(), &mut text);
    }
    let figure = |name: &str| summary.pointer(&format!("/cost/{name}")).and_then(|value| value.as_f64());
    let mebibytes = |name: &str| figure(name).unwrap_or(f64::NAN) / 1_048_576.0;
    let memory = mebibytes("peak_rss_bytes") + mebibytes("map_bytes");
    let mut random = Random::new(7);
    let mut verdicts = Verdicts::new("Profiler");
    verdicts.median("peak RSS and BPF maps, MiB", &[memory], 200.0 / 1.048_576, &mut random);
    verdicts.median("SIGINT to exit with SVG, s", &[ours.stop.0], 1.5, &mut random);
    verdicts.open("BPF maps at 256 possible CPUs, MiB", &[mebibytes("map_bytes_256_cpus")], &mut random);
    let all = all_probes(place)?;
    verdicts.open("the same with all probes, MiB", &[all], &mut random);
    let lost = losses(&summary);
    let _ = write!(text, "\nThe profiler's own losses: {lost}.\n\n{}", verdicts.finish());
    page::write_block(place, "stacks", &text)
}

fn kept(name: &str, taken: Result<&Taken, &anyhow::Error>, text: &mut String) {
    let _ = match taken {
        Ok(taken) => writeln!(
            text,
            "| {name} | {} | {:.1} % | {} | {:.2} | {:.2} |",
            taken.samples,
            100.0 * taken.samples as f64 / taken.expected,
            taken.stacks,
            taken.stop.0,
            taken.picture.0
        ),
        Err(error) => writeln!(text, "| {name} | not measured: {error:#} | | | | |"),
    };
}

/// What the ledger counts as lost, dropped, truncated or missing.
fn losses(summary: &serde_json::Value) -> String {
    let rows = summary.get("losses").and_then(|rows| rows.as_array()).cloned().unwrap_or_default();
    let counted = rows.iter().filter_map(|row| {
        let count = row.get("count")?.as_u64().filter(|&count| count > 0)?;
        Some(format!("{count} {}", row.get("text")?.as_str()?))
    });
    let counted: Vec<String> = counted.collect();
    if counted.is_empty() { "none".to_owned() } else { counted.join(", ") }
}

/// MiB of all probes' maps at 256 possible CPUs.
fn all_probes(place: &Place<'_>) -> Result<f64> {
    let variant = place.record("all probes", "all", &[]);
    let tracer = Tracer::start(&variant.words, &variant.ready, &place.scratch)?;
    tracer.stop(PATIENCE)?;
    let summary = place::summary(&place.scratch.join("all"))?;
    let bytes = summary.pointer("/cost/map_bytes_256_cpus").and_then(|value| value.as_f64());
    Ok(bytes.context("the summary has no map_bytes_256_cpus")? / 1_048_576.0)
}

/// Records that many stacks of a workload that lives on, so that all names can be had; how the tracer
/// ended, and how many samples there should be.
fn recorded(place: &Place<'_>, count: &str, variant: &dyn Fn(&str) -> Variant) -> Result<(Ended, f64)> {
    let mut workload = place.waiting(&["many-stacks", count, DEPTH, STACK_US, THREADS])?;
    let variant = variant(&workload.pid());
    let tracer = Tracer::start(&variant.words, &variant.ready, &place.scratch)?;
    workload.go()?;
    let walked: Walked = workload.result()?;
    let frequency: f64 = FREQUENCY.parse()?;
    Ok((tracer.stop(PATIENCE)?, walked.cpu_ns / 1e9 * frequency))
}

fn profiled(place: &Place<'_>, count: &str) -> Result<Taken> {
    let (ended, expected) = recorded(place, count, &|pid| {
        place.record("profiler", "picture", &["--probe", "cpu", "-F", FREQUENCY, "--pid", pid])
    })?;
    let directory = place.scratch.join("picture");
    ensure!(directory.join("cpu.svg").is_file(), "the profiler drew no cpu.svg");
    let (samples, stacks) = place::folded(&directory.join("cpu.folded"))?;
    Ok(Taken { samples, stacks, expected, stop: seconds(&ended), picture: (0.0, 0.0) })
}

fn perfed(place: &Place<'_>, count: &str) -> Result<Taken> {
    let data = place.scratch.join("perf.data").display().to_string();
    let (ended, expected) = recorded(place, count, &|pid| {
        peer::variant("perf", &["perf", "record", "-q", "-g", "-F", FREQUENCY, "-p", pid, "-o", &data])
    })?;
    let collapse = peer::inferno(place.workspace, "inferno-collapse-perf").display().to_string();
    let draw = peer::inferno(place.workspace, "inferno-flamegraph").display().to_string();
    let (svg, folded) = (place.scratch.join("perf.svg"), place.scratch.join("perf.folded"));
    let script = format!("set -o pipefail; perf script -i '{data}' 2> /dev/null | '{collapse}' -q");
    let (begin, before) = (Instant::now(), machine::children_cpu());
    shell(&format!("{script} | '{draw}' > '{}'", svg.display()))?;
    let picture =
        (begin.elapsed().as_secs_f64(), machine::children_cpu().saturating_sub(before).as_secs_f64());
    // Once more, untimed, for the figures.
    shell(&format!("{script} > '{}'", folded.display()))?;
    let (weight, stacks) = place::folded(&folded)?;
    // inferno weighs perf's samples by their period, which is in ns here.
    let samples = (weight as f64 * FREQUENCY.parse::<f64>()? / 1e9).round() as u64;
    Ok(Taken { samples, stacks, expected, stop: seconds(&ended), picture })
}

fn shell(line: &str) -> Result<()> {
    command::run(Command::new("bash").args(["-c", line]))
}

/// The tracers that aggregate and print.
fn aggregated(place: &Place<'_>, index: usize, count: &str) -> Result<Taken> {
    let (ended, expected) =
        recorded(place, count, &|pid| peer::cpu_stacks(place, pid, FREQUENCY).swap_remove(index))?;
    let (samples, stacks) = printed(&ended.output);
    Ok(Taken { samples, stacks, expected, stop: seconds(&ended), picture: (0.0, 0.0) })
}

/// Samples and stacks of what they print: folded lines, or bpftrace's JSON.
fn printed(output: &str) -> (u64, usize) {
    let json = output.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let maps: Vec<_> = json.filter_map(|line| line.pointer("/data/@").cloned()).collect();
    let counts: Vec<u64> = if maps.is_empty() {
        // bcc counts what it has no stack of under a frame that says so.
        let whole = output.lines().filter(|line| !line.contains("[Missed"));
        whole.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect()
    } else {
        maps.iter()
            .filter_map(|map| map.as_object())
            .flat_map(|map| map.values())
            .filter_map(|count| count.as_u64())
            .collect()
    };
    (counts.iter().sum(), counts.len())
}

fn seconds(ended: &Ended) -> (f64, f64) {
    (ended.wall.as_secs_f64(), ended.cpu.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_samples_are_read_from_both_ways_of_printing() {
        assert_eq!(printed("a;b;c 3\na;d 4\na;[Missed User Stack] 9\n"), (7, 2));
        assert_eq!(printed("\n{\"type\": \"map\", \"data\": {\"@\": {\"x,y\": 2, \"z\": 5}}}\n"), (7, 2));
    }
}
