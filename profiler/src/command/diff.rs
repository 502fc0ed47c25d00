//! `profiler diff`: two saved captures, or two stretches of one, held against each other.
//!
//! In: two captures, each read twice: as a whole, then slice by slice. Out: a page or JSON on stdout; with `-o` also `diff.json` and two
//! flame graphs for each picture. The exit code answers `--fail-if`: 4 met, 5 not to be decided.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::stdout::to_stdout;
use crate::capture::{self, Directory};
use crate::cli::settings::{DiffSettings, Stretch};
use crate::diff::change::subjects;
use crate::diff::picture::{self, PICTURES};
use crate::diff::subject::Subject;
use crate::diff::{Condition, Difference, First, Outcome, Range, Side, Width, json, text};
use crate::failure::Failure;
use crate::probe::Picture;

/// Runs it.
///
/// # Errors
/// `Usage` when a path names no capture, or a condition nothing; `Runtime` when one gives no profile or the output fails;
/// `Condition` and `Undecided` as conditions say.
pub fn run(settings: &DiffSettings) -> Result<(), Failure> {
    let conditions: Vec<Condition> = settings
        .fail_if
        .iter()
        .map(|text| {
            Condition::parse(text).map_err(|why| Failure::Usage(format!("--fail-if {text:?}: {why}")))
        })
        .collect::<Result<_, _>>()?;
    let (mut before, mut after) = (first(&settings.before)?, first(&settings.after)?);
    let (rows, left_out) = subjects(&before, &after);
    second(&settings.before, &mut before, &rows)?;
    second(&settings.after, &mut after, &rows)?;
    let difference = Difference::new(before, after, rows, left_out);
    let outcomes: Vec<Outcome> = conditions.iter().map(|condition| condition.outcome(&difference)).collect();
    let written = match &settings.output {
        Some(path) => files(&difference, &outcomes, &Directory::open(path)?)?,
        None => Vec::new(),
    };
    to_stdout(|out| {
        if settings.json {
            json::write(&difference, &outcomes, out)?;
        } else {
            text::write(&difference, settings.verbosity > 0, out)?;
            told(&outcomes).try_for_each(|line| writeln!(out, "\n--fail-if {line}"))?;
            written.iter().try_for_each(|path| writeln!(out, "wrote {}", path.display()))?;
        }
        Ok(())
    })?;
    verdict(&outcomes)
}

/// Reads a capture as a whole.
fn first(stretch: &Stretch) -> Result<Side, Failure> {
    let range = Range { from_ns: stretch.from_ns, to_ns: stretch.to_ns };
    let mut first = First::new(range);
    let profile = capture::read_with(&stretch.capture, &mut |chunk| first.look(chunk))?;
    if let Some(tail) = &profile.missing_tail {
        tracing::warn!("{}: {tail}", stretch.capture.display());
    }
    let side = first.side(profile, stretch.text.clone());
    if side.profile.duration_ns == 0 {
        let text =
            format!("{}: no whole interval lies in this stretch; intervals are about a second", stretch.text);
        return Err(Failure::Usage(text));
    }
    Ok(side)
}

/// Reads it again, slice by slice.
fn second(stretch: &Stretch, side: &mut Side, rows: &BTreeMap<Subject, usize>) -> Result<(), Failure> {
    let mut second = side.second(rows);
    capture::read_with(&stretch.capture, &mut |chunk| {
        second.look(&chunk);
        None
    })?;
    Ok(())
}

/// Writes `diff.json` and, for each picture that one of the sides has, `NAME-diff.svg` and `NAME-diff-before.svg`.
fn files(
    difference: &Difference,
    outcomes: &[Outcome],
    directory: &Directory,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut written =
        vec![directory.publish("diff.json", |out| Ok(json::write(difference, outcomes, out)?))?];
    let sides = (&difference.before, &difference.after);
    for picture in PICTURES
        .into_iter()
        .filter(|picture| ran(&difference.before, *picture) || ran(&difference.after, *picture))
    {
        for (width, suffix) in [(Width::After, "diff"), (Width::Before, "diff-before")] {
            let name = format!("{}-{suffix}.svg", picture.name());
            written.push(directory.publish(&name, |out| picture::write(sides, picture, width, out))?);
        }
    }
    Ok(written)
}

fn ran(side: &Side, picture: Picture) -> bool {
    let plans = &side.profile.header.probes;
    plans.iter().any(|plan| plan.active && plan.probe == picture.probe().name())
}

fn told(outcomes: &[Outcome]) -> impl Iterator<Item = String> + '_ {
    outcomes.iter().map(|outcome| match outcome {
        Outcome::Met(text) => format!("{text}: met"),
        Outcome::NotMet(text) => format!("{text}: not met"),
        Outcome::Undecided(text) | Outcome::NoSuchName(text) => text.clone(),
    })
}

fn verdict(outcomes: &[Outcome]) -> Result<(), Failure> {
    let mut undecided = None;
    for outcome in outcomes {
        match outcome {
            Outcome::NoSuchName(text) => return Err(Failure::Usage(format!("--fail-if {text}"))),
            Outcome::Undecided(text) => undecided = undecided.or(Some(text)),
            Outcome::Met(_) | Outcome::NotMet(_) => {}
        }
    }
    let met = outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Met(text) => Some(text),
        _ => None,
    });
    match (met, undecided) {
        (Some(text), _) => Err(Failure::Condition(format!("--fail-if {text}"))),
        (None, Some(text)) => Err(Failure::Undecided(format!("--fail-if {text}"))),
        (None, None) => Ok(()),
    }
}
