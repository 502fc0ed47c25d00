//! What this kernel and this user may do, as a report for a person.
//!
//! In: [`Facts`]. Out: a [`Report`]: one line per fact with its mark and its fix, one verdict per
//! probe; as text of at most 100 columns or as JSON.

mod line;
mod lines;
mod text;
mod verdict;

use std::io::{self, Write};

use serde::Serialize;

pub use line::{Line, Mark};
pub use verdict::Verdict;
use verdict::verdict;

use crate::plan::{Facts, Forced, assess};
use crate::probe::Probe;

/// Name and version of the JSON form.
pub const SCHEMA: &str = "profiler.check/1";

/// Everything `check` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The tool's version.
    pub version: &'static str,
    /// The facts as they were read.
    pub facts: Facts,
    /// The facts, judged.
    pub lines: Vec<Line>,
    /// One per probe.
    pub probes: Vec<Verdict>,
}

impl Report {
    /// Judges the facts.
    pub fn new(facts: Facts) -> Self {
        let probes =
            Probe::ALL.iter().map(|probe| verdict(assess(&facts, *probe, &Forced::default()))).collect();
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            lines: lines::judge(&facts),
            probes,
            facts,
        }
    }

    /// Probes that cannot run.
    pub fn refused(&self) -> Vec<Probe> {
        let refused = self.probes.iter().filter(|verdict| verdict.mark == Mark::No);
        refused.map(|verdict| verdict.assessment.probe).collect()
    }

    /// Writes the table; `verbose` adds attach points, purposes and backends not chosen.
    ///
    /// # Errors
    /// Writing to `out` failed.
    pub fn write_text(&self, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
        text::write((self.version, &self.lines, &self.probes), verbose, out)
    }

    /// Writes one JSON object.
    ///
    /// # Errors
    /// Writing to `out` failed.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }
}

#[cfg(test)]
mod tests;
