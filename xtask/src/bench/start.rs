//! In: a workload that calls `getppid` at a steady pace and keeps the time of each. Out: how long after
//! its start each tracer counts. Of N calls a tracer that was started in the middle has counted the last
//! C, so that call N − C was its first: no tracer has to tell when it was ready.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{
    machine, page, peer,
    place::{self, Place, Waiting},
    rounds::Variant,
    statistics::{self, Random},
    tracer::{Ready, Tracer},
    verdict::{Verdicts, ratios},
};

/// What the workload prints.
#[derive(Deserialize)]
struct Paced {
    times_ns: Vec<u64>,
}

const OURS: &str = "profiler record --probe syscall";
const CALLS: &str = "7500";
/// Distance of two calls; the resolution of the result.
const PACE_US: &str = "400";
const PATIENCE: Duration = Duration::from_secs(20);

/// # Errors
/// When the workload cannot be measured or the page cannot be written.
pub fn run(place: &Place<'_>) -> Result<()> {
    let mut random = Random::new(u64::from(std::process::id()));
    let mut all: Vec<(&'static str, Vec<f64>)> = Vec::new();
    for round in 1..=place.rounds {
        // The pids change, the number of variants does not.
        let mut order: Vec<usize> = (0..variants(place, "0").len()).collect();
        random.shuffle(&mut order);
        for index in order {
            let (name, result) = first_counted(place, index)?;
            match (result, all.iter_mut().find(|(known, _)| *known == name)) {
                (Ok(ms), Some((_, found))) => found.push(ms),
                (Ok(ms), None) => all.push((name, vec![ms])),
                (Err(error), _) => println!("xtask: {name}: not measured: {error:#}"),
            }
        }
        println!("xtask: round {round} of {} done", place.rounds);
    }
    page::write_block(place, "start", &described(&all, place.rounds))
}

fn variants(place: &Place<'_>, pid: &str) -> Vec<Variant> {
    let mut variants = vec![place.record(OURS, "start", &["--probe", "syscall"])];
    variants.extend(peer::getppid_counts(place, pid));
    variants
}

/// The variant's name, and milliseconds from its start to the first call it counted.
fn first_counted(place: &Place<'_>, index: usize) -> Result<(&'static str, Result<f64>)> {
    let mut workload = place.waiting(&["paced-calls", CALLS, PACE_US])?;
    let mut variants = variants(place, &workload.pid());
    let variant = variants.swap_remove(index);
    Ok((variant.name, measure(place, &variant, &mut workload)))
}

fn measure(place: &Place<'_>, variant: &Variant, workload: &mut Waiting) -> Result<f64> {
    workload.go()?;
    std::thread::sleep(Duration::from_millis(100));
    let started = machine::monotonic();
    let tracer = Tracer::spawn(&variant.words, &variant.ready, &place.scratch)?;
    let paced: Paced = workload.result()?;
    let output = tracer.stop(PATIENCE)?.output;
    let counted = match &variant.ready {
        Ready::Capture(directory) => from_summary(&place::summary(directory)?, &workload.pid()),
        _ => from_table(&output),
    };
    let counted = counted.context("it counted no getppid of the workload")?;
    let first = paced.times_ns.len().checked_sub(counted).context("it counted more than there were")?;
    let first = paced.times_ns.get(first).context("it counted nothing")?;
    let late = first.checked_sub(started).context("it counted calls from before its start")?;
    Ok(late as f64 / 1e6)
}

fn from_summary(summary: &serde_json::Value, pid: &str) -> Option<usize> {
    let rows = summary.pointer("/probes/syscall/rows")?.as_array()?;
    let row = rows.iter().find(|row| {
        row.get("syscall").is_some_and(|name| name == "getppid")
            && row.get("pid").and_then(serde_json::Value::as_u64) == pid.parse().ok()
    })?;
    usize::try_from(row.get("count")?.as_u64()?).ok()
}

/// `getppid 7512 1234.5` of the syscounts, `@getppid: 7512` of bpftrace.
fn from_table(output: &str) -> Option<usize> {
    let line = output.lines().find_map(|line| line.trim().trim_start_matches('@').strip_prefix("getppid"))?;
    line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
}

fn described(all: &[(&'static str, Vec<f64>)], rounds: usize) -> String {
    let mut text = format!(
        "From exec to the first call counted, by a workload that makes a `getppid` every {PACE_US} µs and keeps the \
         time of each: of N calls a tracer counted the last C, so that call N − C was its first. {rounds} rounds. {}. \
         {}.\n\n| Tracer | ms | 95 % interval |\n|---|---|---|\n",
        machine::described(),
        peer::bpftrace_version(),
    );
    let mut random = Random::new(5);
    for (name, found) in all {
        let found = statistics::estimate(found, &mut random);
        let _ = writeln!(text, "| {name} | {:.1} | {:.1} – {:.1} |", found.median, found.low, found.high);
    }
    let named = |wanted: &str| all.iter().find(|(name, _)| *name == wanted).map(|(_, found)| found);
    let mut verdicts = Verdicts::new("Ratio");
    if let (Some(ours), Some(theirs)) = (named(OURS), named("bpftrace")) {
        verdicts.median("profiler / bpftrace", &ratios(ours, theirs), 1.0, &mut random);
    }
    if let (Some(ours), Some(theirs)) = (named(OURS), named(peer::SYSCOUNT)) {
        verdicts.open("profiler / syscount -L", &ratios(ours, theirs), &mut random);
    }
    let _ = write!(text, "\n{}", verdicts.finish());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_in_every_table() {
        assert_eq!(from_table("SYSCALL   COUNT  TIME (us)\ngetppid   7512   12.5\n"), Some(7512));
        assert_eq!(from_table("\n\n@getppid: 31\n@start[1]: 5\n"), Some(31));
        assert_eq!(from_table("[03:06:03]\nfutex 7 1.0\n"), None);
    }
}
