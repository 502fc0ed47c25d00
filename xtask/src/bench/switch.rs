//! In: two threads of one CPU that pass a byte back and forth. Out: the nanoseconds that `--probe
//! syscall` adds to a context switch, beside an empty program at `sched_switch`; and what all probes add,
//! beside the two tools that tell about as much.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Deserialize;

use super::{
    machine, page, peer,
    place::Place,
    rounds::{self, Series, Variant},
    statistics::Random,
    verdict::{Verdicts, differences, ratios},
};

/// What the workload prints.
#[derive(Deserialize)]
struct PingPong {
    p50_ps_per_switch: f64,
}

const SWITCH: &str = "floor: empty sched_switch";
const CLOCK: &str = "floor: pair and two clock reads, of both calls";
const PROFILER: &str = "profiler --probe syscall";
pub const EVERYTHING: &str = "profiler, all probes";
/// Of what the peers add.
pub const EVERYTHING_BOUND: f64 = 0.6;

/// # Errors
/// When the workload cannot be measured or the page cannot be written.
pub fn run(place: &Place<'_>, round_trips: u64) -> Result<()> {
    let variants = [
        place.floor(SWITCH, "switch"),
        place.floor(CLOCK, "clock"),
        place.record(PROFILER, "switch", &["--probe", "syscall"]),
    ];
    let series = measure(place, &variants, round_trips)?;
    let mut random = Random::new(3);
    let mut text = format!(
        "Added time per context switch of two threads on one CPU that pass a byte through pipes (one `write` and one \
         `read` that blocks per switch), by the process's CPU time (the middle of 20 parts); {} rounds. {}.\n\n\
         {}",
        place.rounds,
        machine::described(),
        table(&series, &mut random)
    );
    let named = |name| rounds::named(&series, name);
    if let (Some(profiler), Some(switch), Some(clock)) = (named(PROFILER), named(SWITCH), named(CLOCK)) {
        let mut verdicts = Verdicts::new("Per switch");
        let floors: Vec<f64> = switch.added.iter().zip(&clock.added).map(|(one, two)| one + two).collect();
        verdicts.open("profiler less both floors, ns", &differences(&profiler.added, &floors), &mut random);
        verdicts.open("profiler / both floors", &ratios(&profiler.added, &floors), &mut random);
        let _ = write!(text, "\n{}", verdicts.finish());
    }
    page::write_block(place, "switch", &text)
}

/// What each adds.
fn table(series: &[Series], random: &mut Random) -> String {
    let head = "| Tracer | added ns | 95 % interval | × untraced |\n|---|---|---|---|\n".to_owned();
    series.iter().fold(head, |text, one| text + &one.row(random) + "\n")
}

fn measure(place: &Place<'_>, variants: &[Variant], round_trips: u64) -> Result<Vec<Series>> {
    rounds::run(variants, place.rounds, &place.scratch, &|| {
        let result: PingPong = place.measure(&["ping-pong", &round_trips.to_string()])?;
        Ok(result.p50_ps_per_switch / 1000.0)
    })
}

/// # Errors
/// When the workload cannot be measured or the page cannot be written.
pub fn everything(place: &Place<'_>, round_trips: u64) -> Result<()> {
    let variants = [
        place.floor(SWITCH, "switch"),
        place.record(EVERYTHING, "everything", &[]),
        peer::off_cpu_and_syscalls(place),
        peer::libbpf_off_cpu_and_syscalls(),
    ];
    let series = measure(place, &variants, round_trips)?;
    let mut random = Random::new(5);
    let mut text = format!(
        "Added time per context switch as above, two system calls included; {} rounds. {}.\n\n\
         {}",
        place.rounds,
        machine::described(),
        table(&series, &mut random)
    );
    let named = |name| rounds::named(&series, name);
    let mut verdicts = Verdicts::new("Slowdown");
    for peer in [peer::OFF_CPU_AND_SYSCALLS, peer::LIBBPF_OFF_CPU_AND_SYSCALLS] {
        if let (Some(profiler), Some(peers)) = (named(EVERYTHING), named(peer)) {
            let found = ratios(&profiler.added, &peers.added);
            verdicts.median(&format!("{EVERYTHING} / {peer}"), &found, EVERYTHING_BOUND, &mut random);
        }
    }
    let _ = write!(text, "\n{}", verdicts.finish());
    page::write_block(place, "everything", &text)
}
