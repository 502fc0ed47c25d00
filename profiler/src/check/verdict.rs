//! The judgement on one probe.
//!
//! In: its part of the plan. Out: [`Verdict`]: whether it runs, by which backends, and which other backends there are.

use serde::Serialize;

use super::line::Mark;
use crate::plan::{Assessment, Choice};

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
    /// The backends that would be tried next, and those that cannot run, by part.
    pub alternatives: Vec<String>,
    /// The rest of what the plan says.
    #[serde(flatten)]
    pub assessment: Assessment,
}

/// Judges a probe.
pub fn verdict(assessment: Assessment) -> Verdict {
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
    let spelled = backends.map(|backend| format!("{}={}", backend.part.of(backend.probe), backend.name));
    spelled.collect()
}

/// One line for each part that has other candidates: those to try next, then those that cannot run.
fn alternatives(assessment: &Assessment) -> Vec<String> {
    let line = |choice: &Choice| {
        let next = choice.candidates.iter().skip(1).map(|backend| backend.name.to_owned());
        let not =
            choice.refused.iter().map(|(backend, why)| format!("{} not here ({})", backend.name, why.cause));
        let others: Vec<String> = next.chain(not).collect();
        let part = choice.part.name;
        let part = if part.is_empty() { String::new() } else { format!("{part}: ") };
        (!others.is_empty()).then(|| part + &others.join(", "))
    };
    // Where nothing runs, the obstacles say it.
    let choices = assessment.choices.iter().filter(|choice| !choice.candidates.is_empty());
    choices.filter_map(line).collect()
}
