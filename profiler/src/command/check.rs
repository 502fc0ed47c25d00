//! `profiler check`.
//!
//! In: this machine. Out: the report on `out`; a failure when no probe can run.

use std::io::{self, Write};

use anyhow::Context;

use crate::check::Report;
use crate::failure::Failure;
use crate::plan::Facts;

/// Writes what this kernel and this user may do.
///
/// # Errors
/// [`Failure::Privilege`] when no probe can run, or none has a kernel side (after everything was written),
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
        _ => conclude(&report).and_then(|()| crate::attach::object().map(drop)),
    }
}

/// A probe that cannot run is a fact of the report; where others can, `record` leaves it out.
fn conclude(report: &Report) -> Result<(), Failure> {
    if report.refused().len() < report.probes.len() {
        return Ok(());
    }
    Err(Failure::Privilege("no probe can run; the report says why, and what to change".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::facts::Btf;
    use crate::plan::tests::{capable, unprivileged};
    use crate::probe::Probe;

    #[test]
    fn it_fails_only_where_no_probe_can_run() {
        let without_types = Report::new(Facts { btf: Btf::Missing, ..capable() });
        assert!(!without_types.refused().is_empty());
        for report in [Report::new(capable()), without_types] {
            conclude(&report).unwrap();
        }
        let nobody = Report::new(unprivileged());
        assert_eq!(nobody.refused(), Probe::ALL);
        assert!(matches!(conclude(&nobody), Err(Failure::Privilege(_))));
    }
}
