//! What this kernel and this user may do, told to a person.
//!
//! In: [`Facts`]. Out: a [`Report`]: one line per fact with its mark and mend, one verdict per
//! probe; as text of at most 100 columns or as JSON.

mod lines;
mod text;

use std::io::{self, Write};

use serde::Serialize;

use crate::plan::{Assessment, Facts, Probe, assess};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "profiler.check/1";

/// How good a fact is for profiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Something is less than it could be, or could not be told.
    Warn,
    /// Something cannot be done.
    No,
}

impl Mark {
    /// The word users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::No => "no",
        }
    }
}

/// One fact, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// How good it is.
    pub mark: Mark,
    /// What it is about.
    pub subject: String,
    /// What is the case.
    pub state: String,
    /// What it means, where that is not plain, one phrase each.
    pub notes: Vec<String>,
    /// What makes it better; empty where nothing is to be done.
    pub mend: String,
}

/// The judgement on one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it runs: no, in part, wholly.
    pub mark: Mark,
    /// Backend by name; empty when it cannot run.
    pub backend: String,
    /// Hooks it takes.
    pub attach: Vec<&'static str>,
    /// The rest of what the plan says.
    #[serde(flatten)]
    pub assessment: Assessment,
}

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
        let probes = Probe::ALL.iter().map(|probe| verdict(assess(&facts, *probe))).collect();
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
    /// Those of `out`.
    pub fn write_text(&self, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
        text::write(self, verbose, out)
    }

    /// Writes one JSON object.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }
}

fn verdict(assessment: Assessment) -> Verdict {
    let mark = match (&assessment.backend, assessment.obstacles.is_empty()) {
        (None, _) => Mark::No,
        (Some(_), false) => Mark::Warn,
        (Some(_), true) => Mark::Ok,
    };
    let attach = assessment.backend.iter().flat_map(|backend| backend.attach);
    let attach = attach.chain(assessment.extras.iter().flat_map(|extra| extra.attach)).copied().collect();
    Verdict { mark, backend: assessment.backend_name(), attach, assessment }
}

#[cfg(test)]
mod tests;
