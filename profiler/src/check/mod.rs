//! What this kernel and this user may do, told to a person.
//!
//! In: [`Facts`]. Out: a [`Report`]: one line per fact with its mark and mend, one verdict per
//! probe; as text of at most 100 columns or as JSON.

mod lines;
mod text;

use std::io::{self, Write};

use serde::Serialize;

use crate::plan::{Assessment, Choice, Facts, Forced, Probe, assess};

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
    /// Every backend that can run, best first within a part, as `record --backend` takes it.
    pub candidates: Vec<String>,
    /// What would be tried next, and what cannot run, part by part.
    pub alternatives: Vec<String>,
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
    let mark = match (assessment.runs(), assessment.obstacles.is_empty()) {
        (false, _) => Mark::No,
        (true, false) => Mark::Warn,
        (true, true) => Mark::Ok,
    };
    let hooks = assessment.backends().flat_map(|backend| backend.hooks.places());
    let mut attach: Vec<&'static str> = Vec::new();
    for place in hooks.chain(assessment.extras.iter().flat_map(|extra| extra.attach).copied()) {
        if !attach.contains(&place) {
            attach.push(place);
        }
    }
    Verdict {
        mark,
        backend: assessment.backend_name(),
        attach,
        candidates: candidates(&assessment),
        alternatives: alternatives(&assessment),
        assessment,
    }
}

fn candidates(assessment: &Assessment) -> Vec<String> {
    let backends = assessment.choices.iter().flat_map(|choice| &choice.candidates);
    let spelled = backends.map(|backend| format!("{}={}", backend.probe.place(backend.part), backend.name));
    spelled.collect()
}

/// One line for each part that has other candidates: those to try next, then those that cannot run.
fn alternatives(assessment: &Assessment) -> Vec<String> {
    let line = |choice: &Choice| {
        let next = choice.candidates.iter().skip(1).map(|backend| backend.name.to_owned());
        let not =
            choice.refused.iter().map(|(backend, why)| format!("{} not here ({})", backend.name, why.cause));
        let others: Vec<String> = next.chain(not).collect();
        let part = choice.part.name();
        let part = if part.is_empty() { String::new() } else { format!("{part}: ") };
        (!others.is_empty()).then(|| part + &others.join(", "))
    };
    // Where nothing runs, the obstacles say it.
    let choices = assessment.choices.iter().filter(|choice| !choice.candidates.is_empty());
    choices.filter_map(line).collect()
}

#[cfg(test)]
mod tests;
