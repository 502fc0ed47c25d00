//! The tables of the terminal summary that belong to no single probe.
//!
//! In: the ledger, the costs, the findings. Out: aligned rows, at most [`ROWS`] of each.

use std::io;

use super::page::{Page, number, text};
use super::rule::Finding;
use super::table::{ROWS, ranked_table};
use super::{clean, findings, humane};
use crate::profile::estimate::Estimate;
use crate::profile::{Histogram, Ledger, Profile};

/// Losses and classes, each with number and share.
pub fn losses(page: &mut Page<'_>, ledger: &Ledger, elided: &[(&str, f64)]) -> io::Result<()> {
    use crate::profile::LossKind;
    page.heading("LOSSES")?;
    let columns = [text("kind"), number("number"), number("share"), text("what")];
    let rows = |classes: bool| -> Vec<Vec<String>> {
        let occurred = ledger.occurred();
        occurred
            .filter(|(class, _)| (class.kind() == LossKind::Class) == classes)
            .map(|(class, events)| {
                let share = ledger.share(class).map_or_else(String::new, humane::share);
                let kind = format!("{:?}", class.kind()).to_lowercase();
                vec![kind, humane::count(events), share, class.text().to_owned()]
            })
            .collect()
    };
    let lost = rows(false);
    ranked_table(page, &columns, &lost, &[])?;
    for (probe, share) in elided.iter().filter(|(_, share)| *share > 0.0) {
        page.line(&format!(
            "  {} of {probe}.svg is too narrow to draw ({probe}.folded has it)",
            humane::share(*share)
        ))?;
    }
    let classes = rows(true);
    if !classes.is_empty() {
        page.heading("NOT LOST: counted apart")?;
        page.table(&columns, &classes)?;
    }
    Ok(())
}

/// What measuring cost.
pub fn cost(page: &mut Page<'_>, profile: &Profile) -> io::Result<()> {
    let cost = &profile.cost;
    page.heading("COST OF MEASURING")?;
    let kernel = programs(profile);
    page.paragraph(
        "  ",
        &format!(
            "kernel programs {kernel}, this process {}; memory {} + BPF maps {} ({} at 256 CPUs)",
            humane::share(cost.process_share(profile.duration_ns)),
            humane::bytes(cost.peak_rss_bytes),
            humane::bytes(cost.map_bytes),
            humane::bytes(cost.map_bytes_256_cpus),
        ),
    )?;
    let mut programs: Vec<_> = cost.programs.iter().filter(|program| program.runs > 0).collect();
    programs.sort_by_key(|program| std::cmp::Reverse(program.run_ns));
    let rows: Vec<_> = programs
        .iter()
        .take(ROWS)
        .map(|program| {
            vec![
                clean::name(&program.program).into_owned(),
                humane::count(program.runs),
                humane::duration(program.run_ns),
                humane::duration(program.run_ns / program.runs.max(1)),
                humane::count(program.recursion_misses),
            ]
        })
        .collect();
    let columns = [text("program"), number("runs"), number("time"), number("each"), number("skipped")];
    if rows.is_empty() { Ok(()) } else { page.table(&columns, &rows) }
}

/// What the kernel-side programs took, and what that rests on.
fn programs(profile: &Profile) -> String {
    let (cost, events) = (&profile.cost, profile.ledger.own_events());
    let windows = || {
        let number = humane::plural(cost.windows.len() as u64, "window");
        format!("{number} of {} in all", humane::duration(cost.window_ns))
    };
    match cost.programs_estimate(profile.duration_ns, events) {
        Some(Estimate { value, interval: Some((low, high)) }) => {
            let timed = cost.windows.iter().map(|window| window.events).fold(0, u64::saturating_add);
            format!(
                "{} of the machine over the whole recording ({} to {} with 95 %; timed in {}, with {} of the {} events)",
                humane::share(value),
                humane::share(low),
                humane::share(high),
                windows(),
                humane::part(timed.min(events), events),
                humane::count(events),
            )
        }
        Some(Estimate { value, interval: None }) => {
            format!(
                "{} of the machine while they were timed ({}: too few to tell of the whole)",
                humane::share(value),
                windows()
            )
        }
        None => cost.programs_share().map_or_else(
            || "unknown (not timed)".to_owned(),
            |share| {
                format!(
                    "{} of the machine while they were timed ({})",
                    humane::share(share),
                    humane::duration(cost.window_ns)
                )
            },
        ),
    }
}

/// The sentences that answer "where did the time go".
pub fn findings(page: &mut Page<'_>, profile: &Profile, found: &[Finding]) -> io::Result<()> {
    page.heading("WHERE DID THE TIME GO")?;
    let sentences = findings::sentences(found);
    if sentences.is_empty() {
        let waits = profile.waits.rows.values().map(Histogram::count).fold(0, u64::saturating_add);
        let nothing = match profile.in_flight.len() {
            0 if waits > 0 => format!("  no rule found anything in {}", humane::plural(waits, "wait")),
            0 => "  nothing happened: no call ended, no thread waited for a lock, no CPU sample was taken"
                .to_owned(),
            open => format!("  no call ended; {open} in flight at the end"),
        };
        return page.line(&nothing);
    }
    sentences.iter().try_for_each(|sentence| page.paragraph("  * ", sentence))
}
