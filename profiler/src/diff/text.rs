//! The difference for a terminal.
//!
//! In: a difference. Out: a page: both sides and their losses, what else changed, what moved, the stacks that moved most, and what
//! did not move with what would have been seen.

use std::io::{self, Write};

use super::change::{Change, Difference, Verdict};
use super::environment::{Fact, differences};
use super::evidence::moved;
use super::side::Side;
use super::statistics::LEAST;
use super::words;
use crate::probe::Picture;
use crate::profile::{Class, Ledger};
use crate::render::page::{Page, decisive, number, text};
use crate::render::{clean, humane};

/// Rows that did not move, without `-v`.
const SAME: usize = 12;
/// Stacks of each picture.
const STACKS: usize = 3;
/// Pictures whose stacks are shown; the others show the same stacks once more.
const PICTURES: [Picture; 5] = [Picture::Syscall, Picture::Lock, Picture::Lsm, Picture::Runq, Picture::Cpu];
/// Frames of a stack, from its leaf.
const FRAMES: usize = 6;

/// Writes the page; `all` shows every row that did not move.
///
/// # Errors
/// What the writer returns.
pub fn write(difference: &Difference, all: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(out);
    for (mark, side) in [("before  ", &difference.before), ("after   ", &difference.after)] {
        page.paragraph(mark, &about(side))?;
    }
    environment(&mut page, &differences(&difference.before, &difference.after))?;
    changes(&mut page, difference)?;
    stacks(&mut page, difference)?;
    same(&mut page, difference, all)
}

fn about(side: &Side) -> String {
    let (profile, machine) = (&side.profile, &side.profile.header.environment);
    let target = match profile.header.target.label.as_str() {
        "" => "whole machine".into(),
        label => clean::name(label),
    };
    let losses = losses(&profile.ledger).unwrap_or_else(|| "no losses".to_owned());
    let whole = self::losses(&side.of_the_whole).map(|text| format!(" · in the whole recording: {text}"));
    let whole = whole.unwrap_or_default();
    let tail = profile.missing_tail.as_ref().map(|tail| format!(" · {}", clean::line(tail, 300)));
    format!(
        "{} · {target} · {} · Linux {} · {} in {} slices · {losses}{whole}{}",
        clean::line(&side.label, 60),
        clean::name(&machine.hostname),
        clean::name(&machine.kernel_release),
        humane::duration(profile.duration_ns),
        side.slices.len(),
        tail.unwrap_or_default()
    )
}

/// Losses with their shares, as one sentence.
fn losses(ledger: &Ledger) -> Option<String> {
    let one = |(class, events): (Class, u64)| {
        let share = ledger.share(class).map(|share| format!(" ({})", humane::share(share)));
        format!("{} {}{}", humane::count(events), class.text(), share.unwrap_or_default())
    };
    let losses: Vec<String> = ledger.losses().map(one).collect();
    (!losses.is_empty()).then(|| format!("lost: {}", losses.join("; ")))
}

fn environment(page: &mut Page<'_>, facts: &[Fact]) -> io::Result<()> {
    page.heading("ENVIRONMENT: what else changed")?;
    if facts.is_empty() {
        return page.line("  nothing that a capture holds");
    }
    for fact in facts {
        let list = |entries: &[String]| match entries {
            [] => "(none or unknown)".to_owned(),
            entries => entries.join(", "),
        };
        let text = if fact.is_list {
            let came = (!fact.after.is_empty()).then(|| format!("came: {}", fact.after.join(", ")));
            let went = (!fact.before.is_empty()).then(|| format!("went: {}", fact.before.join(", ")));
            [came, went].into_iter().flatten().collect::<Vec<_>>().join("; ")
        } else {
            format!("{} → {}", list(&fact.before), list(&fact.after))
        };
        page.paragraph("  ", &format!("{}: {text}", fact.what))?;
    }
    Ok(())
}

fn changes(page: &mut Page<'_>, difference: &Difference) -> io::Result<()> {
    page.heading("WHAT MOVED, after against before")?;
    let moved: Vec<&Change> = difference.changes.iter().filter(|change| change.verdict.is_change()).collect();
    if difference.comparisons == 0 {
        let why = format!(
            "Nothing could be compared: each side needs {LEAST} slices (about a second each) in which a row has events."
        );
        return page.paragraph("  ", &why);
    }
    if moved.is_empty() {
        let text = format!(
            "No difference in {}. What would have been seen stands below, row by row.",
            humane::plural(difference.comparisons as u64, "comparison")
        );
        return page.paragraph("  ", &text);
    }
    let rows: Vec<_> = moved.iter().map(|change| row(change)).collect();
    page.table(&COLUMNS, &rows)
}

const COLUMNS: [crate::render::page::Column; 8] = [
    text("kind"),
    text("process"),
    decisive("what"),
    text("of it"),
    number("before"),
    number("after"),
    number("change"),
    number("seen from"),
];

fn row(change: &Change) -> Vec<String> {
    let subject = &change.subject;
    let what = match subject.detail.as_str() {
        "" => subject.name.clone(),
        detail => format!("{} in {detail}", subject.name),
    };
    vec![
        subject.kind.name().to_owned(),
        subject.who.clone(),
        what,
        words::quantity(change.quantity).to_owned(),
        words::value(change.quantity, change.before),
        words::value(change.quantity, change.after),
        words::part(change),
        words::floor(change),
    ]
}

fn stacks(page: &mut Page<'_>, difference: &Difference) -> io::Result<()> {
    let (before, after) = (&difference.before, &difference.after);
    let moved: Vec<_> = PICTURES.iter().flat_map(|picture| moved(before, after, *picture, STACKS)).collect();
    if moved.is_empty() {
        return Ok(());
    }
    page.heading("STACKS whose weight changed most (evidence: a single stack has no noise floor)")?;
    for stack in moved {
        let per_second = |value: f64| format!("{}/s", words::weight(value, stack.unit));
        let leaf: Vec<&str> = stack.stack.iter().rev().take(FRAMES).map(String::as_str).collect();
        let numbers = format!(
            "  {:<8} {} → {}",
            stack.picture.name(),
            per_second(stack.before),
            per_second(stack.after)
        );
        page.line(&numbers)?;
        page.line(&format!("           {}", leaf.join(" < ")))?;
    }
    Ok(())
}

fn same(page: &mut Page<'_>, difference: &Difference, all: bool) -> io::Result<()> {
    let same: Vec<&Change> =
        difference.changes.iter().filter(|change| change.verdict == Verdict::Same).collect();
    let few = difference.changes.iter().filter(|change| change.verdict == Verdict::TooFew).count();
    if !same.is_empty() {
        page.heading("NO DIFFERENCE; a change from \"seen from\" on would have been seen")?;
        // The heaviest of each kind come first.
        let shown = if all { same.len() } else { SAME };
        let mut order = same.clone();
        if !all {
            order.sort_by_key(|change| !matches!(change.quantity, super::measure::Quantity::Usual));
        }
        let rows: Vec<_> = order.iter().take(shown).map(|change| row(change)).collect();
        page.table(&COLUMNS, &rows)?;
        if same.len() > shown {
            page.line(&format!("  … and {} more: -v or --json", humane::count((same.len() - shown) as u64)))?;
        }
    }
    let left_out: usize = difference.left_out.values().sum();
    let mut rest = Vec::new();
    if few > 0 {
        rest.push(format!("{} in too few slices to tell", humane::plural(few as u64, "row")));
    }
    if left_out > 0 {
        rest.push(format!("{} lighter than those were not compared", humane::count(left_out as u64)));
    }
    if !rest.is_empty() {
        page.line("")?;
        page.paragraph("  ", &rest.join("; "))?;
    }
    Ok(())
}
