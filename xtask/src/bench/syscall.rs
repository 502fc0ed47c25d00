//! In: a `getppid` loop that counts its own CPU time. Out: the nanoseconds that each tracer adds to a
//! call, beside the floors and the peers; and what keeping slow stacks adds to calls that are not slow.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Deserialize;

use super::{
    machine::{self, Bystander},
    page, peer,
    place::Place,
    rounds::{self, Series},
    statistics::Random,
    tracer::Ready,
    verdict::{Verdicts, differences, ratios},
};

/// What the workload prints.
#[derive(Deserialize)]
struct Loop {
    p50_ps_per_call: f64,
}

const WHOLE: &str = "profiler, whole machine";
const EMPTY: &str = "floor: empty pair";
const CLOCK: &str = "floor: pair and two clock reads";
const OWN_COST: &str = "profiler, whole machine, while it times its programs";
const PID: &str = "profiler, --pid of another";
const UNIFIED: &str = "profiler, --cgroup of another (v2)";
const MEMORY: &str = "profiler, --cgroup of another (v1)";

/// Which ratios have a bound: numerator, denominator, bound of the added times.
const BOUNDS: [(&str, &str, f64); 6] = [
    (WHOLE, peer::SYSCOUNT, 0.70),
    (WHOLE, peer::BPFTRACE_RAW, 0.65),
    (WHOLE, CLOCK, 1.4),
    (PID, EMPTY, 1.15),
    (UNIFIED, EMPTY, 1.5),
    (MEMORY, EMPTY, 1.5),
];

/// Nanoseconds of a call.
fn call(place: &Place<'_>, calls: u64) -> Result<f64> {
    let result: Loop = place.measure(&["getppid-loop", &calls.to_string()])?;
    Ok(result.p50_ps_per_call / 1000.0)
}

/// The cost of a call.
///
/// # Errors
/// When the workload cannot be measured or the page cannot be written.
pub fn run(place: &Place<'_>, calls: u64) -> Result<()> {
    let bystander = Bystander::start()?;
    let pid = bystander.pid();
    let unified = bystander.unified.display().to_string();
    let mut variants = vec![
        place.floor(EMPTY, "empty"),
        place.floor(CLOCK, "clock"),
        place.record(WHOLE, "whole", &["--probe", "syscall"]),
        place.record(PID, "pid", &["--probe", "syscall", "--pid", &pid]),
        place.record(UNIFIED, "unified", &["--probe", "syscall", "--cgroup", &unified]),
    ];
    let mut timing = place.record(OWN_COST, "own-cost", &["--probe", "syscall"]);
    timing.ready = Ready::OwnCost(place.scratch.join("own-cost"));
    variants.push(timing);
    if let Some(memory) = &bystander.memory {
        let memory = memory.display().to_string();
        variants.push(place.record(MEMORY, "memory", &["--probe", "syscall", "--cgroup", &memory]));
    }
    variants.extend(peer::syscall_histograms(place, &pid));
    let series = rounds::run(&variants, place.rounds, &place.scratch, &|| call(place, calls))?;
    page::write_block(place, "syscall", &described(&series, place.rounds))
}

fn described(series: &[Series], rounds: usize) -> String {
    let mut text = format!(
        "Added time per `getppid` (enter and exit), one thread, by its own CPU time (the middle of 40 parts); \
         {rounds} rounds. {}. {}.\n\n\
         | Tracer | added ns | 95 % interval | × untraced |\n|---|---|---|---|\n",
        machine::described(),
        peer::bpftrace_version(),
    );
    let mut random = Random::new(1);
    for one in series {
        let _ = writeln!(text, "{}", one.row(&mut random));
    }
    let _ = write!(text, "\nThe bounds hold for the added time; whole calls are given beside it.\n\n{}", {
        let mut verdicts = Verdicts::new("Ratio");
        for bound in BOUNDS {
            ratio(series, bound, &mut verdicts, &mut random);
        }
        verdicts.finish()
    });
    text
}

fn ratio(
    series: &[Series],
    (above, below, bound): (&str, &str, f64),
    verdicts: &mut Verdicts,
    random: &mut Random,
) {
    let Some(ours) = rounds::named(series, above) else { return };
    if let Some(theirs) = rounds::named(series, below) {
        verdicts.median(
            &format!("added: {above} / {below}"),
            &ratios(&ours.added, &theirs.added),
            bound,
            random,
        );
        verdicts.open("whole call: the same", &ratios(&ours.traced(), &theirs.traced()), random);
    } else if below == peer::BPFTRACE_RAW
        && let Some(theirs) = rounds::named(series, peer::BPFTRACE_CLASSIC)
    {
        let what = format!("added: {above} / {} (raw ones: not in this version)", peer::BPFTRACE_CLASSIC);
        verdicts.open(&what, &ratios(&ours.added, &theirs.added), random);
    }
}

const KEPT: &str = "stacks of calls ≥ 10 ms (`--slow 10ms`)";
const NOT_KEPT: &str = "stacks of calls ≥ 1 h (`--slow 1h`)";

/// What keeping slow stacks adds to calls below the threshold, in pairs.
///
/// # Errors
/// When the workload cannot be measured or the page cannot be written.
pub fn slow(place: &Place<'_>, calls: u64) -> Result<()> {
    let rounds = place.rounds.max(21);
    let variants = [
        place.record(KEPT, "kept", &["--probe", "syscall", "--slow", "10ms"]),
        place.record(NOT_KEPT, "not-kept", &["--probe", "syscall", "--slow", "1h"]),
    ];
    let series = rounds::run(&variants, rounds, &place.scratch, &|| call(place, calls))?;
    let (Some(kept), Some(not)) = (rounds::named(&series, KEPT), rounds::named(&series, NOT_KEPT)) else {
        return Ok(());
    };
    let mut random = Random::new(2);
    let mut verdicts = Verdicts::new("Calls below the threshold, on against off");
    let (on, off) = (kept.traced(), not.traced());
    let percent = |part: Vec<f64>| part.into_iter().map(|share| 100.0 * share).collect::<Vec<_>>();
    let whole = percent(ratios(&differences(&on, &off), &off));
    verdicts.upper("difference in % of a traced call", &whole, 3.0, &mut random);
    verdicts.open("difference in ns", &differences(&on, &off), &mut random);
    let text = format!(
        "{rounds} pairs of runs, whole machine, {}.\n\n| Slow stacks | added ns | 95 % interval | × untraced |\n\
         |---|---|---|---|\n{}\n{}\n\n{}",
        machine::described(),
        kept.row(&mut random),
        not.row(&mut random),
        verdicts.finish()
    );
    page::write_block(place, "slow", &text)
}
