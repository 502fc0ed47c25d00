//! In: the table of cells and the guest's kernel. Out: one line per cell, `@cell` and its fields by tabs: what was
//! measured, what this kernel cannot have, what failed. A cell that fails leaves the others.

use std::{collections::BTreeSet, io::Write, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    bpf::Objects,
    cells::{CELLS, Cell, HERTZ, Witness},
    clock::Clock,
    judge::{Run, Spins},
    kernel::{self, Counter, Kprobe},
    recording::{Recording, Workload},
};

const DIRECTORY: &str = "/tmp/cell";
/// The slow path of spinlocks without a paravirtual host.
const SLOW_PATH: &str = "native_queued_spin_lock_slowpath";
/// Only spinlocks.
const SPINS: &str = "flags == 1";

/// Runs them all, or those whose probe, backend or load contains `only`; whether none failed.
///
/// # Errors
/// When the output is closed.
pub fn run(only: &str, out: &mut dyn Write) -> Result<bool> {
    let version = kernel::version()?;
    let force = can_force();
    let mut well = true;
    for cell in CELLS {
        let names = [cell.probe, cell.backend, cell.load];
        if !names.iter().any(|name| name.contains(only)) {
            continue;
        }
        let absent = cell.since.filter(|(since, _)| version < *since);
        let (state, detail) = match absent {
            Some((_, why)) => ("none", why.to_owned()),
            None => match measure(cell, force) {
                Ok(found) => ("ok", found),
                Err(error) => ("FAILED", format!("{error:#}")),
            },
        };
        well &= state != "FAILED";
        tell(out, cell.probe, cell.backend, cell.load, (state, &detail))?;
    }
    for (probe, backend) in uncovered()? {
        well = false;
        tell(
            out,
            &probe,
            &backend,
            "any",
            ("FAILED", "offered by `profiler check`, but no cell measures it"),
        )?;
    }
    Ok(well)
}

fn tell(out: &mut dyn Write, probe: &str, backend: &str, load: &str, end: (&str, &str)) -> Result<()> {
    let (state, detail) = end;
    let detail: String =
        detail.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    writeln!(out, "@cell\t{probe}\t{backend}\t{load}\t{state}\t{detail}")?;
    Ok(out.flush()?)
}

/// Whether this profiler knows `--backend`.
fn can_force() -> bool {
    let help = Command::new("profiler").args(["record", "--help"]).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--backend"))
}

fn measure(cell: &Cell, force: bool) -> Result<String> {
    let (before, complaints) = (Objects::now(), kernel::complaints().len());
    let run = record(cell, force)?;
    require_backend(cell, &run.summary)?;
    let found = (cell.judge)(&run)?;
    before.await_gone_since()?;
    let logged = kernel::complaints();
    ensure!(logged.len() <= complaints, "the kernel complained: {}", logged[complaints]);
    Ok(found)
}

fn record(cell: &Cell, force: bool) -> Result<Run> {
    let directory = Path::new(DIRECTORY);
    let spins = cell.witness == Witness::Spins;
    let kprobe = spins.then(|| Kprobe::place(SLOW_PATH)).transpose()?;
    let mut workload = Workload::start(cell.words, directory)?;
    let pid = workload.pid();
    let (pid_text, chosen) = (pid.to_string(), format!("{}={}", cell.probe, cell.backend));
    let mut arguments = vec!["--pid", &pid_text, "--probe", cell.probe];
    if force {
        arguments.extend(["--backend", &chosen]);
    }
    arguments.extend(cell.arguments);
    let recording = Recording::start(&arguments, directory)?;
    let counters = kprobe.as_ref().map(|_| Counters::start(pid)).transpose()?;
    let clock = (cell.witness == Witness::Ticks).then(|| Clock::start(pid, HERTZ.parse()?)).transpose()?;
    workload.go()?;
    let truth = workload.truth()?;
    let spins = kprobe.as_ref().zip(counters).map(|(kprobe, counters)| counters.stop(kprobe)).transpose()?;
    let ticks = clock.as_ref().map(Clock::count);
    let (summary, folded) = recording.stop(cell.probe)?;
    Ok(Run { summary, folded, truth, pid, spins, ticks })
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
        plans.iter().find(|plan| plan["probe"] == cell.probe).context("the probe is not in the summary")?;
    let name = plan["backend"].as_str().unwrap_or_default();
    if first(name) != cell.backend || plan["active"] != true {
        bail!("it ran by {name:?}: {}", plan["misses"]);
    }
    Ok(())
}

/// The backend, without what runs beside it.
fn first(name: &str) -> &str {
    name.split(" + ").next().unwrap_or(name)
}

/// Backends that this kernel gets and no cell measures.
fn uncovered() -> Result<BTreeSet<(String, String)>> {
    // Exit code 3 says that a probe cannot run, which is a fact like others here.
    let output =
        Command::new("profiler").args(["check", "--json"]).output().context("starting profiler check")?;
    let report: Value = serde_json::from_slice(&output.stdout).context("reading check --json")?;
    let probes = report["probes"].as_array().context("no probes in check --json")?;
    let offered = probes.iter().map(|probe| {
        let text = |field: &str| probe[field].as_str().unwrap_or_default().to_owned();
        (text("probe"), first(&text("backend")).to_owned())
    });
    let covered = |(probe, backend): &(String, String)| {
        backend.is_empty() || CELLS.iter().any(|cell| cell.probe == probe && cell.backend == backend)
    };
    Ok(offered.filter(|offer| !covered(offer)).collect())
}
