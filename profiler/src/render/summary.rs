//! The terminal summary: the answer first, then the tables it rests on.
//!
//! In: the profile. Out: at most 100 columns of plain text, no escape sequences.

use std::io::{self, Write};

use super::fold::Folder;
use super::page::{Block, Page};
use super::pictures::events;
use super::ranked::Ranked;
use super::rendering::Rendering;
use super::scene::Scene;
use super::{clean, counters, deaths, environment, findings, humane, json, presence, tables, time_line};
use crate::probe::{Picture, Probe, each_probe};
use crate::probes::crash::table as places;
use crate::profile::{Class, Ledger, ProbePlan, Profile};

/// Limits of the machine that are shown at most; a capture may be hostile.
const LIMITS: usize = 16;

/// Writes the tables of a probe.
type Sections = fn(&mut Page<'_>, &Scene<'_>, &mut Folder<'_>) -> io::Result<()>;

macro_rules! sections {
    ($($probe:ident $name:ident [$($picture:tt)*],)*) => {
        /// The tables of each probe.
        const SECTIONS: &[(Probe, Sections)] =
            &[$((Probe::$probe, crate::probes::$name::table::sections),)*];
    };
}

each_probe!(sections);

/// Writes the summary.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut buffered = io::BufWriter::new(out);
    write_on(&mut Page::new(&mut buffered), rendering)?;
    buffered.flush()
}

/// The same as blocks.
///
/// # Errors
/// None: there is nothing that could fail.
pub fn blocks(rendering: &Rendering<'_>) -> io::Result<Vec<Block>> {
    let mut blocks = Vec::new();
    write_on(&mut Page::of_blocks(&mut blocks), rendering)?;
    Ok(blocks)
}

fn write_on(page: &mut Page<'_>, rendering: &Rendering<'_>) -> io::Result<()> {
    let profile = rendering.profile();
    // First: while that document is made, nothing of these tables takes memory.
    let ledger = ledger(rendering);
    let mut folder = Folder::new(profile);
    let ranked = Ranked::new(profile, &mut folder);
    header(page, profile)?;
    if let Some(idle) = rendering.idle_left_out() {
        page.paragraph("  LEFT OUT ", &idle)?;
    }
    let found = findings::all(profile, &ranked);
    tables::findings(page, profile, &found)?;
    let scene = Scene { profile, ranked: &ranked, idle: rendering.idle };
    deaths::table(page, profile)?;
    time_line::table(page, profile)?;
    places::sections(page, &scene, &mut folder)?;
    // Where processes died stands below their deaths.
    for &(probe, sections) in SECTIONS.iter().filter(|(probe, _)| *probe != Probe::Crash) {
        if ran(profile, probe) {
            sections(page, &scene, &mut folder)?;
        }
    }
    let elided: Vec<_> =
        Picture::ALL.iter().map(|picture| (picture.name(), rendering.elided(*picture))).collect();
    counters::write(page, profile, &found)?;
    tables::losses(page, &ledger, &elided)?;
    unseen(page, &profile.header.probes)?;
    environment::write(page, &profile.header)?;
    tables::cost(page, profile)
}

/// The ledger, with what the files beside these tables leave out.
fn ledger(rendering: &Rendering<'_>) -> Ledger {
    let mut ledger = rendering.ledger_of_files();
    // Where it cannot be written at all, writing it says so.
    ledger.count(Class::SummaryCut, json::summary(rendering).map_or(0, |summary| summary.left_out));
    ledger
}

/// Whether a probe ran, or has rows all the same.
fn ran(profile: &Profile, probe: Probe) -> bool {
    let planned = profile.header.probes.iter().any(|plan| plan.probe == probe.name() && plan.active);
    planned || events(profile, probe.picture()).0 > 0
}

fn header(page: &mut Page<'_>, profile: &Profile) -> io::Result<()> {
    let header = &profile.header;
    let environment = &header.environment;
    let target = if header.target.label.is_empty() { "whole machine" } else { &header.target.label };
    page.paragraph(
        "",
        &format!(
            "{}: {} on {}, Linux {}",
            clean::name(target),
            humane::duration(profile.duration_ns),
            clean::name(&environment.hostname),
            clean::name(&environment.kernel_release)
        ),
    )?;
    if !header.target.way.is_empty() {
        page.paragraph("  target   ", &format!("by {}", clean::name(&header.target.way)))?;
    }
    probes(page, &header.probes)?;
    for sentence in presence::sentences(profile) {
        page.paragraph("  ABSENT   ", &sentence)?;
    }
    for limit in header.limits.iter().take(LIMITS) {
        page.paragraph("  LIMIT    ", &clean::line(limit, 300))?;
    }
    for (start_ns, end_ns) in profile.pauses.iter().take(LIMITS) {
        let (start, end) = (*start_ns as f64 / 1e9, *end_ns as f64 / 1e9);
        let text = format!(
            "nothing was read from second {start:.1} to {end:.1}: the profiler was stopped, busy or without a CPU; what found \
             no room meanwhile is among the losses"
        );
        page.paragraph("  PAUSE    ", &text)?;
    }
    if let Some(missing) = &profile.missing_tail {
        page.paragraph("  PARTIAL  ", &clean::line(missing, 300))?;
    }
    Ok(())
}

/// The backends in one line; a probe that did not run in a line of its own, with the reason.
fn probes(page: &mut Page<'_>, plans: &[ProbePlan]) -> io::Result<()> {
    let active = plans.iter().filter(|plan| plan.active);
    let active: Vec<_> = active
        .map(|plan| format!("{} by {}", clean::line(&plan.probe, 8), clean::name(&plan.backend)))
        .collect();
    if !active.is_empty() {
        page.paragraph("  probes   ", &active.join(" · "))?;
    }
    for plan in plans.iter().filter(|plan| !plan.active) {
        let line = format!("NOT MEASURED. {}", misses(plan));
        page.paragraph(&format!("  {:<9}", clean::line(&plan.probe, 8)), &line)?;
    }
    Ok(())
}

/// What the backends in use cannot see: beside the losses, not in front of the answer.
fn unseen(page: &mut Page<'_>, plans: &[ProbePlan]) -> io::Result<()> {
    let blind: Vec<_> = plans.iter().filter(|plan| plan.active && !plan.misses.is_empty()).collect();
    if blind.is_empty() {
        return Ok(());
    }
    page.heading("NOT SEEN by these probes on this kernel")?;
    for plan in blind {
        page.paragraph(&format!("  {:<9}", clean::line(&plan.probe, 8)), &misses(plan))?;
    }
    Ok(())
}

fn misses(plan: &ProbePlan) -> String {
    // Some are sentences, others a cause and its fix.
    let stopped = |miss: &String| format!("{}.", clean::line(miss, 300).trim_end_matches('.'));
    let misses: Vec<_> = plan.misses.iter().map(stopped).collect();
    misses.join(" ")
}
