//! `profiler check`.
//!
//! In: this machine. Out: the report on `out`; a failure when a probe cannot run.

use std::io::{self, Write};

use anyhow::Context;

use crate::check::Report;
use crate::failure::Failure;
use crate::plan::{Facts, Probe};

/// Writes what this kernel and this user may do.
///
/// # Errors
/// [`Failure::Privilege`] when a probe cannot run, or has no kernel side (after everything was written),
/// [`Failure::Runtime`] when `out` cannot be written to. A reader that went away is no error.
pub fn run(json: bool, verbose: bool, out: &mut dyn Write) -> Result<(), Failure> {
    report(Facts::read(), json, verbose, out)
}

fn report(facts: Facts, json: bool, verbose: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let report = Report::new(facts);
    let written = if json { report.write_json(out) } else { report.write_text(verbose, out) };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("writing the report").map_err(Failure::Runtime)
        }
        // What the kernel allows is of no use to a binary that has nothing to load.
        _ => conclude(&report.refused()).and_then(|()| crate::probe::object().map(drop)),
    }
}

fn conclude(refused: &[Probe]) -> Result<(), Failure> {
    if refused.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = refused.iter().map(|probe| probe.name()).collect();
    Err(Failure::Privilege(format!("cannot run: {}; the report names cause and mend", names.join(", "))))
}
