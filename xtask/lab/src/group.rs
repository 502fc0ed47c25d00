//! In: cells that share a recording. Out: what each of them is judged by. All workloads are there when the recording starts;
//! then they work one after the other, so that none is in another's way.

use std::{path::Path, rc::Rc};

use anyhow::{Context, Result};
use judge::bpf;

use crate::{
    cells::{Cell, HERTZ, Witness},
    clock::Clock,
    confine, disk,
    kernel::{self, Counter, Kprobe},
    recording::{self, Recording, Workload},
    verdict::{Memory, Run, Spins},
};

const DIRECTORY: &str = "/tmp/cell";
/// The slow path of spinlocks without a paravirtual host.
const SLOW_PATH: &str = "native_queued_spin_lock_slowpath";
/// Only spinlocks.
const SPINS: &str = "flags == 1";

/// Records the workloads of all cells of a group by the probes of all.
///
/// # Errors
/// When something cannot be started, or does not end well.
pub fn record(group: &[&Cell]) -> Result<Vec<Run>> {
    let asks = |witness| group.iter().any(|cell| cell.witness == witness);
    let kprobe = asks(Witness::Spins).then(|| Kprobe::place(SLOW_PATH)).transpose()?;
    if group.iter().any(|cell| cell.probe() == "block") {
        disk::make()?;
    }
    let loads = loads(group)?;
    let per_cpu = kernel::per_cpu_bytes()?;
    let arguments = arguments(group, &loads);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let recording = recording::start(&arguments, Path::new(DIRECTORY))?;
    let memory = asks(Witness::Memory).then(|| memory(&recording, per_cpu)).transpose()?;
    let played = loads.into_iter().map(|load| load.play(kprobe.as_ref())).collect::<Result<Vec<_>>>()?;
    let output = recording::stop(recording)?;
    let summary = Rc::new(output.summary()?);
    let run = |cell: &&Cell| {
        let played =
            played.iter().find(|played| played.words == cell.words).context("nobody worked for it")?;
        let folded = output.folded(cell.probe())?;
        let Played { pid, truth, spins, ticks, free, .. } = played.clone();
        Ok(Run { summary: Rc::clone(&summary), folded, truth, pid, spins, ticks, memory, free })
    };
    group.iter().map(run).collect()
}

/// A workload that waits for its turn.
struct Load<'a> {
    cell: &'a Cell,
    workload: Workload,
    /// The same beside it, which nobody confines.
    free: Option<Workload>,
}

/// What a workload says of itself, and what was counted meanwhile.
#[derive(Clone)]
struct Played<'a> {
    words: &'a [&'a str],
    pid: u32,
    truth: serde_json::Value,
    spins: Option<Spins>,
    ticks: Option<u64>,
    free: Option<(u32, serde_json::Value)>,
}

/// One for all cells that follow each other with the same words.
fn loads<'a>(group: &[&'a Cell]) -> Result<Vec<Load<'a>>> {
    group.chunk_by(|before, next| before.words == next.words).map(|cells| Load::ready(cells[0])).collect()
}

impl<'a> Load<'a> {
    fn ready(cell: &'a Cell) -> Result<Self> {
        if cell.witness != Witness::Unconfined {
            return Ok(Self { cell, workload: Workload::start("workload", cell.words)?, free: None });
        }
        let workload = Workload::start(confine::workload()?, cell.words)?;
        let free = Workload::start("workload", cell.words)?;
        // These take turns on one CPU: what slows one of them slows the other.
        workload.pin(0)?;
        free.pin(0)?;
        Ok(Self { cell, workload, free: Some(free) })
    }

    fn pids(&self) -> impl Iterator<Item = u32> {
        [Some(&self.workload), self.free.as_ref()].into_iter().flatten().map(Workload::pid)
    }

    fn play(self, kprobe: Option<&Kprobe>) -> Result<Played<'a>> {
        let Self { cell, mut workload, mut free } = self;
        let pid = workload.pid();
        let kprobe = kprobe.filter(|_| cell.witness == Witness::Spins);
        let counters = kprobe.map(|kprobe| Counters::start(kprobe, pid)).transpose()?;
        let ticks = cell.witness == Witness::Ticks;
        let clock = ticks.then(|| Clock::start(pid, HERTZ.parse()?)).transpose()?;
        workload.go()?;
        free.iter_mut().try_for_each(Workload::go)?;
        let truth = workload.truth()?;
        let free = free.map(|free| Ok::<_, anyhow::Error>((free.pid(), free.truth()?))).transpose()?;
        let spins = counters.map(Counters::stop).transpose()?;
        let ticks = clock.as_ref().map(Clock::count);
        Ok(Played { words: cell.words, pid, truth, spins, ticks, free })
    }
}

/// What `profiler record` is told.
fn arguments(group: &[&Cell], loads: &[Load<'_>]) -> Vec<String> {
    let pids: Vec<String> = loads.iter().flat_map(Load::pids).map(|pid| pid.to_string()).collect();
    let probes = each_once(
        group.iter().flat_map(|cell| [cell.probe()].into_iter().chain(cell.beside.iter().copied())),
    );
    let mut told = vec!["--pid".to_owned(), pids.join(","), "--probe".to_owned(), probes.join(",")];
    let choices = each_once(group.iter().map(|cell| cell.choice()));
    told.extend(choices.into_iter().flat_map(|choice| ["--backend".to_owned(), choice]));
    let more = group.iter().flat_map(|cell| cell.arguments).map(|&word| word.to_owned());
    told.extend(more);
    if !told.iter().any(|word| word == "--slow") {
        let least = loads.iter().filter_map(|load| load.workload.slow_ns()).min();
        told.extend(least.into_iter().flat_map(|ns| ["--slow".to_owned(), format!("{ns}ns")]));
    }
    told
}

/// In the order of their first.
fn each_once<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

fn memory(recording: &Recording, before: u64) -> Result<Memory> {
    let per_cpu = kernel::per_cpu_bytes()?.saturating_sub(before);
    let maps = bpf::map_bytes(recording.pid());
    Ok(Memory { possible_cpus: kernel::possible_cpus()?, maps, per_cpu })
}

/// The kernel's own counters of one window.
struct Counters<'a> {
    kprobe: &'a Kprobe,
    contention: Option<Counter>,
    entries: Counter,
}

impl<'a> Counters<'a> {
    fn start(kprobe: &'a Kprobe, pid: u32) -> Result<Self> {
        // Where there is no such tracepoint, no backend claims to use it.
        let contention = Counter::start("lock/contention_begin", SPINS, pid).ok();
        let entries = Counter::start(Kprobe::EVENT, "", pid)?;
        Ok(Self { kprobe, contention, entries })
    }

    fn stop(self) -> Result<Spins> {
        let contention = self.contention.map(Counter::count).transpose()?;
        Ok(Spins { contention, profile: self.kprobe.hits()?, entries: self.entries.count()? })
    }
}
