//! In: the table of cells and the guest's kernel. Out: one line per cell, `@cell` and its fields by tabs:
//! what was measured, what this kernel cannot have, what failed. A cell that fails does not stop the others,
//! unless the recording that they share failed.

use std::{collections::BTreeSet, io::Write, process::Command};

use anyhow::{Context, Result, bail, ensure};
use judge::{
    bpf::Objects,
    runs::{self, Verdict},
};
use serde_json::Value;

use crate::{
    cells::{CELLS, Cell, ENDS, Guest},
    group, kernel,
    verdict::Run,
};

const FAILED: &str = "FAILED";

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
    let groups =
        chosen.chunk_by(|(_, absence), (cell, next)| cell.joins && absence.is_none() && next.is_none());
    for group in groups {
        let cells: Vec<&Cell> = group.iter().map(|(cell, _)| *cell).collect();
        let ends = match group {
            [(_, Some((state, why)))] => vec![(*state, why.clone())],
            _ => by_the_rule(&cells),
        };
        for (cell, (state, detail)) in cells.iter().zip(ends) {
            well &= state != FAILED;
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
/// measured again, by the lab's rule, in a recording of that cell alone, and said; a count that is off is wrong at once.
fn by_the_rule(group: &[&Cell]) -> Vec<(&'static str, String)> {
    let first = match measure(group) {
        Ok(first) => first,
        Err(error) => return vec![(FAILED, format!("{error:#}")); group.len()],
    };
    let judged = |(cell, first): (&&Cell, Result<String>)| {
        let mut first = Some(first);
        let again = || measure(&[cell])?.pop().context("a cell without a result")?;
        end(runs::judge(runs::CELL, || first.take().unwrap_or_else(again)))
    };
    group.iter().zip(first).map(judged).collect()
}

fn end(verdict: Result<Verdict<String>>) -> (&'static str, String) {
    match verdict {
        Ok(Verdict::Right(found, told)) => {
            ("ok", [found].into_iter().chain(told).collect::<Vec<_>>().join("; "))
        }
        // Nothing here tells what an emulator takes, so nothing excuses a run either.
        Ok(Verdict::Wrong(told) | Verdict::Untold(told)) => (FAILED, told.join("; ")),
        Err(error) => (FAILED, format!("{error:#}")),
    }
}

/// What one recording found for each cell of a group, or what is wrong with it.
fn measure(group: &[&Cell]) -> Result<Vec<Result<String>>> {
    let (before, complaints) = (Objects::now(), kernel::complaints().len());
    let runs = group::record(group)?;
    let judge = |(cell, run): (&&Cell, &Run)| {
        require_backend(cell, &run.summary)?;
        (cell.judge)(run)
    };
    let found = group.iter().zip(&runs).map(judge).collect();
    before.await_gone_since()?;
    let logged = kernel::complaints();
    ensure!(logged.len() <= complaints, "the kernel complained: {}", logged[complaints]);
    Ok(found)
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
