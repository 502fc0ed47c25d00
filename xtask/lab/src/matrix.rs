//! In: the table of cells and the guest's kernel. Out: one line per cell, `@cell` and its fields by tabs: what was
//! measured, what this kernel cannot have, what failed. A cell that fails leaves the others, but for those judged by the
//! same recording.

use std::{collections::BTreeSet, io::Write, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use judge::{
    bpf::{self, Objects},
    runs::{self, Verdict},
};
use serde_json::Value;

use crate::{
    cells::{CELLS, Cell, ENDS, Guest, HERTZ, Witness},
    clock::Clock,
    confine, disk,
    kernel::{self, Counter, Kprobe},
    recording::{self, Recording, Workload},
    verdict::{Memory, Run, Spins},
};

const FAILED: &str = "FAILED";
const DIRECTORY: &str = "/tmp/cell";
/// The slow path of spinlocks without a paravirtual host.
const SLOW_PATH: &str = "native_queued_spin_lock_slowpath";
/// Only spinlocks.
const SPINS: &str = "flags == 1";

/// Runs them all, or those whose place, backend or load contains `only`; whether none failed.
///
/// # Errors
/// When the output is closed, or `profiler check` cannot be read.
pub fn run(only: &str, out: &mut dyn Write) -> Result<bool> {
    let (version, offered) = (kernel::version()?, offered()?);
    let guest = if kernel::possible_cpus()? < kernel::MANY { Guest::Usual } else { Guest::ManyCpus };
    let mut well = true;
    let chosen = CELLS.iter().filter(|cell| {
        let names = [cell.place, cell.backend, cell.load];
        let here = !only.is_empty() || !cell.ends || ENDS.contains(&version);
        here && cell.guest == guest && names.iter().any(|name| name.contains(only))
    });
    let chosen: Vec<_> = chosen.map(|cell| (cell, absence(cell, version, &offered))).collect();
    let groups = chosen.chunk_by(|(before, absence), (cell, next)| {
        cell.joins && cell.words == before.words && absence.is_none() && next.is_none()
    });
    for group in groups {
        let cells: Vec<&Cell> = group.iter().map(|(cell, _)| *cell).collect();
        let (state, details) = match group {
            [(_, Some((state, why)))] => (*state, vec![why.clone()]),
            _ => by_the_rule(&cells),
        };
        well &= state != FAILED;
        for (cell, detail) in cells.iter().zip(details) {
            tell(out, (cell.place, cell.backend, cell.load), (state, &detail))?;
        }
    }
    if guest == Guest::ManyCpus {
        return Ok(well);
    }
    for choice in offered.iter().filter(|choice| CELLS.iter().all(|cell| cell.choice() != **choice)) {
        well = false;
        let (place, backend) = choice.split_once('=').unwrap_or((choice, ""));
        tell(out, (place, backend, "any"), (FAILED, "offered by `profiler check`, but no cell measures it"))?;
    }
    Ok(well)
}

/// Why this kernel cannot have a cell, if so.
fn absence(cell: &Cell, version: (u32, u32), offered: &BTreeSet<String>) -> Option<(&'static str, String)> {
    match cell.since.filter(|(since, _)| version < *since) {
        Some((_, why)) if offered.contains(&cell.choice()) => {
            Some((FAILED, format!("`profiler check` offers it, but the table of cells says: {why}")))
        }
        Some((_, why)) => Some(("none", why.to_owned())),
        None => cell
            .module
            .filter(|module| !kernel::has_module(module))
            .map(|module| ("none", format!("{module} is not active"))),
    }
}

/// Writes one result.
///
/// # Errors
/// When the output is closed.
pub fn tell(
    out: &mut dyn Write,
    (place, backend, load): (&str, &str, &str),
    end: (&str, &str),
) -> Result<()> {
    let (state, detail) = end;
    let detail: String =
        detail.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    writeln!(out, "@cell\t{place}\t{backend}\t{load}\t{state}\t{detail}")?;
    Ok(out.flush()?)
}

/// Every backend that `profiler check` says can run here, as `--backend` takes it.
///
/// # Errors
/// When it does not say.
pub fn offered() -> Result<BTreeSet<String>> {
    // Exit code 3 says that no probe can run: then nothing is offered, and the report says so.
    let output =
        Command::new("profiler").args(["check", "--json"]).output().context("starting profiler check")?;
    let report: Value = serde_json::from_slice(&output.stdout).context("reading check --json")?;
    let probes = report["probes"].as_array().context("no probes in check --json")?;
    let candidates = probes.iter().filter_map(|probe| probe["candidates"].as_array()).flatten();
    Ok(candidates.filter_map(|candidate| candidate.as_str().map(str::to_owned)).collect())
}

/// An emulator that shares its CPU stalls a thread between its own clock and the kernel's function. So a time that is off is
/// measured again, by the lab's rule, and said; a count that is off is wrong at once.
fn by_the_rule(group: &[&Cell]) -> (&'static str, Vec<String>) {
    let after = |told: Vec<String>| told.iter().map(|what| format!("; {what}")).collect::<String>();
    let failed = |why: String| (FAILED, vec![why; group.len()]);
    match runs::judge(runs::CELL, || measure(group)) {
        Ok(Verdict::Right(mut found, told)) => {
            if let Some(first) = found.first_mut() {
                first.push_str(&after(told));
            }
            ("ok", found)
        }
        // Nothing here tells what an emulator takes, so nothing excuses a run either.
        Ok(Verdict::Wrong(told) | Verdict::Untold(told)) => failed(told.join("; ")),
        Err(error) => failed(format!("{error:#}")),
    }
}

/// What one recording found for each cell of a group.
fn measure(group: &[&Cell]) -> Result<Vec<String>> {
    let (before, complaints) = (Objects::now(), kernel::complaints().len());
    let run = record(group)?;
    let mut found = Vec::new();
    for cell in group {
        require_backend(cell, &run.summary)?;
        found.push((cell.judge)(&run)?);
    }
    before.await_gone_since()?;
    let logged = kernel::complaints();
    ensure!(logged.len() <= complaints, "the kernel complained: {}", logged[complaints]);
    Ok(found)
}

/// The workload; where the cell asks for it, a confined one, and one beside it that nobody confines. These take turns on
/// one CPU: what slows one of them slows the other.
fn workloads(cell: &Cell) -> Result<(Workload, Option<Workload>)> {
    if cell.witness != Witness::Unconfined {
        return Ok((Workload::start("workload", cell.words)?, None));
    }
    let confined = Workload::start(confine::workload()?, cell.words)?;
    let free = Workload::start("workload", cell.words)?;
    confined.pin(0)?;
    free.pin(0)?;
    Ok((confined, Some(free)))
}

/// Records the first cell's workload with the probes of all.
fn record(group: &[&Cell]) -> Result<Run> {
    let cell = group.first().context("no cell")?;
    let directory = Path::new(DIRECTORY);
    let spins = cell.witness == Witness::Spins;
    let kprobe = spins.then(|| Kprobe::place(SLOW_PATH)).transpose()?;
    if cell.probe() == "block" {
        disk::make()?;
    }
    let (mut workload, mut free) = workloads(cell)?;
    let pid = workload.pid();
    let pids = free.iter().fold(pid.to_string(), |pids, free| format!("{pids},{}", free.pid()));
    let choices: Vec<String> = group.iter().map(|cell| cell.choice()).collect();
    let probes = probes(group);
    let mut arguments = vec!["--pid", &pids, "--probe", &probes];
    arguments.extend(choices.iter().flat_map(|choice| ["--backend", choice]));
    arguments.extend(cell.arguments);
    let slow = workload.slow();
    if let Some(slow) = slow.as_deref().filter(|_| !cell.arguments.contains(&"--slow")) {
        arguments.extend(["--slow", slow]);
    }
    let per_cpu = kernel::per_cpu_bytes()?;
    let recording = recording::start(&arguments, directory)?;
    let memory = (cell.witness == Witness::Memory).then(|| memory(&recording, per_cpu)).transpose()?;
    let counters = kprobe.as_ref().map(|_| Counters::start(pid)).transpose()?;
    let clock = (cell.witness == Witness::Ticks).then(|| Clock::start(pid, HERTZ.parse()?)).transpose()?;
    workload.go()?;
    free.iter_mut().try_for_each(Workload::go)?;
    let truth = workload.truth()?;
    let free = free.as_ref().map(|free| Ok::<_, anyhow::Error>((free.pid(), free.truth()?))).transpose()?;
    let spins = kprobe.as_ref().zip(counters).map(|(kprobe, counters)| counters.stop(kprobe)).transpose()?;
    let ticks = clock.as_ref().map(Clock::count);
    let (summary, folded) = recording::stop(recording, cell.probe())?;
    Ok(Run { summary, folded, truth, pid, spins, ticks, memory, free })
}

/// The probes of a group, each once.
fn probes(group: &[&Cell]) -> String {
    let mut names: Vec<&str> = group.iter().map(|cell| cell.probe()).collect();
    names.dedup();
    names.join(",") + group.first().map_or("", |cell| cell.beside)
}

fn memory(recording: &Recording, before: u64) -> Result<Memory> {
    let per_cpu = kernel::per_cpu_bytes()?.saturating_sub(before);
    let maps = bpf::map_bytes(recording.pid());
    Ok(Memory { possible_cpus: kernel::possible_cpus()?, maps, per_cpu })
}

/// The kernel's own counters of one window.
struct Counters {
    contention: Option<Counter>,
    entries: Counter,
}

impl Counters {
    fn start(pid: u32) -> Result<Self> {
        // Where there is no such tracepoint, no backend claims to use it.
        let contention = Counter::start("lock/contention_begin", SPINS, pid).ok();
        Ok(Self { contention, entries: Counter::start(Kprobe::EVENT, "", pid)? })
    }

    fn stop(self, kprobe: &Kprobe) -> Result<Spins> {
        let contention = self.contention.map(Counter::count).transpose()?;
        Ok(Spins { contention, profile: kprobe.hits()?, entries: self.entries.count()? })
    }
}

/// A forced backend that failed is no success of the one behind it.
fn require_backend(cell: &Cell, summary: &Value) -> Result<()> {
    let plans = summary["backends"].as_array().context("no backends in the summary")?;
    let plan =
        plans.iter().find(|plan| plan["probe"] == cell.probe()).context("the probe is not in the summary")?;
    let names: Vec<&str> = plan["backend"].as_str().unwrap_or_default().split(" + ").collect();
    let part = cell.place.split_once('.').map(|(_, part)| format!("{part} {}", cell.backend));
    // Parts that run by the same backend are told as one.
    let runs =
        names.first() == Some(&cell.backend) || part.is_some_and(|part| names.contains(&part.as_str()));
    if !runs || plan["active"] != true {
        bail!("it ran by {}: {}", plan["backend"], plan["misses"]);
    }
    Ok(())
}
