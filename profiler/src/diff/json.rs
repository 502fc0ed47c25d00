//! The difference for programs: `profiler-diff/1`, see docs/diff.md.
//!
//! In: a difference, the outcomes of conditions. Out: one JSON object.

use std::io::Write;

use serde::Serialize;

use super::change::{Change, Difference};
use super::condition::Outcome;
use super::environment::{Fact, differences};
use super::evidence::{Moved, moved};
use super::picture::PICTURES;
use super::side::Side;
use crate::profile::{Class, Ledger, LossKind};
use crate::render::clean;

/// The schema's name and version.
const SCHEMA: &str = "profiler-diff/1";
/// Stacks of each picture.
const STACKS: usize = 50;

#[derive(Serialize)]
struct Document<'d> {
    schema: &'static str,
    before: Recording<'d>,
    after: Recording<'d>,
    environment: Vec<Fact>,
    comparisons: usize,
    changes: Vec<Row<'d>>,
    stacks: Vec<Stack>,
    not_compared: usize,
    conditions: Vec<Condition<'d>>,
}

#[derive(Serialize)]
struct Recording<'d> {
    label: std::borrow::Cow<'d, str>,
    from_ns: u64,
    to_ns: Option<u64>,
    duration_ns: u64,
    slices: usize,
    missing_tail: Option<&'d str>,
    losses: Vec<Loss>,
    losses_of_the_whole: Vec<Loss>,
}

#[derive(Serialize)]
struct Loss {
    class: Class,
    kind: LossKind,
    count: u64,
    share: Option<f64>,
}

#[derive(Serialize)]
struct Row<'d> {
    kind: &'static str,
    process: &'d str,
    name: &'d str,
    detail: &'d str,
    quantity: &'static str,
    unit: &'static str,
    before: Option<f64>,
    after: Option<f64>,
    change: Option<f64>,
    verdict: &'static str,
    floor: Option<f64>,
}

#[derive(Serialize)]
struct Stack {
    picture: &'static str,
    unit: String,
    before: f64,
    after: f64,
    stack: Vec<String>,
}

#[derive(Serialize)]
struct Condition<'d> {
    outcome: &'static str,
    sentence: &'d str,
}

/// Writes the document.
///
/// # Errors
/// What the writer returns.
pub fn write(difference: &Difference, outcomes: &[Outcome], out: &mut dyn Write) -> std::io::Result<()> {
    let (before, after) = (&difference.before, &difference.after);
    let stacks = PICTURES.iter().flat_map(|picture| moved(before, after, *picture, STACKS));
    let document = Document {
        schema: SCHEMA,
        before: recording(before),
        after: recording(after),
        environment: differences(before, after),
        comparisons: difference.comparisons,
        changes: difference.changes.iter().map(row).collect(),
        stacks: stacks.map(stack).collect(),
        not_compared: difference.left_out.values().sum(),
        conditions: outcomes.iter().map(condition).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn recording(side: &Side) -> Recording<'_> {
    Recording {
        label: clean::line(&side.label, 400),
        from_ns: side.range.from_ns,
        to_ns: side.range.to_ns,
        duration_ns: side.profile.duration_ns,
        slices: side.slices.len(),
        missing_tail: side.profile.missing_tail.as_deref(),
        losses: losses(&side.profile.ledger),
        losses_of_the_whole: losses(&side.of_the_whole),
    }
}

fn losses(ledger: &Ledger) -> Vec<Loss> {
    let loss = |(class, count)| Loss { class, kind: class.kind(), count, share: ledger.share(class) };
    ledger.losses().map(loss).collect()
}

fn row(change: &Change) -> Row<'_> {
    let unit = match (change.quantity.is_time_of_event(), change.quantity) {
        (true, _) => "ns",
        (false, super::measure::Quantity::Time) => "ns/s",
        (false, _) => "1/s",
    };
    Row {
        kind: change.subject.kind.name(),
        process: &change.subject.who,
        name: &change.subject.name,
        detail: &change.subject.detail,
        quantity: change.quantity.name(),
        unit,
        before: change.before,
        after: change.after,
        change: change.part(),
        verdict: change.verdict.name(),
        floor: change.floor,
    }
}

fn stack(moved: Moved) -> Stack {
    let Moved { picture, unit, stack, before, after } = moved;
    Stack { picture: picture.name(), unit: format!("{unit}/s"), before, after, stack }
}

fn condition(outcome: &Outcome) -> Condition<'_> {
    let (outcome, sentence) = match outcome {
        Outcome::Met(sentence) => ("met", sentence),
        Outcome::NotMet(sentence) => ("not met", sentence),
        Outcome::Undecided(sentence) => ("undecided", sentence),
        Outcome::NoSuchName(sentence) => ("no such name", sentence),
    };
    Condition { outcome, sentence: sentence.as_str() }
}
