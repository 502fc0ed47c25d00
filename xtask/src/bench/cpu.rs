//! In: the same work over and over. Out: what CPU samples with stacks slow it down, beside `perf record -g`.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Deserialize;

use super::{
    machine, page, peer,
    place::Place,
    rounds::{self, Series, Variant},
    statistics::{self, Random},
    verdict::{Verdicts, differences},
};

/// What the workload prints.
#[derive(Deserialize)]
struct Work {
    p50_ns: f64,
}

/// Frequency, our name, perf's.
const PAIRS: [(&str, &str, &str); 2] = [
    ("99", "profiler --probe cpu, 99 Hz", "perf record -g, 99 Hz"),
    ("999", "profiler --probe cpu, 999 Hz", "perf record -g, 999 Hz"),
];

/// # Errors
/// When the workload cannot be measured or the page cannot be written.
pub fn run(place: &Place<'_>) -> Result<()> {
    let rounds = place.rounds.max(15);
    let variants: Vec<Variant> = PAIRS.iter().flat_map(|pair| both(place, pair)).collect();
    let series = rounds::run(&variants, rounds, &place.scratch, &|| {
        // Chunks of 20 ms, so that each meets a sample or two at 99 Hz.
        let work: Work = place.measure(&["fixed-work", "30", "20000000"])?;
        Ok(work.p50_ns)
    })?;
    page::write_block(place, "cpu", &described(&series, rounds))
}

fn both(place: &Place<'_>, (frequency, ours, theirs): &(&str, &'static str, &'static str)) -> [Variant; 2] {
    let data = place.scratch.join("perf.data").display().to_string();
    let perf = ["perf", "record", "-q", "-g", "-a", "-F", frequency, "-o", &data];
    [
        place.record(ours, &format!("cpu-{frequency}"), &["--probe", "cpu", "-F", frequency]),
        peer::variant(theirs, &perf),
    ]
}

fn described(series: &[Series], rounds: usize) -> String {
    let mut text = format!(
        "Slowdown of a CPU-bound thread, by its CPU time for the same work (the middle of 30 parts of about 20 ms), \
         whole machine sampled with kernel and user stacks; {rounds} rounds. {}.\n\n\
         | Tracer | slowdown % | 95 % interval |\n|---|---|---|\n",
        machine::described()
    );
    let mut random = Random::new(4);
    for one in series {
        let found = statistics::estimate(&one.slowdown(), &mut random);
        let _ = match &one.failure {
            Some(reason) => writeln!(text, "| {} | not measured: {reason} | |", one.name),
            None => writeln!(
                text,
                "| {} | {:.2} | {:.2} – {:.2} |",
                one.name, found.median, found.low, found.high
            ),
        };
    }
    let mut verdicts = Verdicts::new("Profiler less perf, in points");
    for (frequency, ours, theirs) in PAIRS {
        if let (Some(ours), Some(theirs)) = (rounds::named(series, ours), rounds::named(series, theirs)) {
            let difference = differences(&ours.slowdown(), &theirs.slowdown());
            verdicts.upper(&format!("{frequency} Hz"), &difference, 0.5, &mut random);
        }
    }
    let _ = write!(text, "\n{}", verdicts.finish());
    text
}
