//! The terminal summary: the answer first, then the tables it rests on.
//!
//! In: the profile. Out: at most 100 columns of plain text, no escape sequences.

use std::io::{self, Write};

use super::findings::{self, Ranked};
use super::fold::Folder;
use super::page::Page;
use super::{Probe, Rendering, clean, counters, environment, humane, slowest, stacks, tables, waits};
use crate::profile::{ProbePlan, Profile};

/// Writes the summary.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, out: &mut dyn Write) -> io::Result<()> {
    let profile = rendering.profile();
    let mut folder = Folder::new(profile);
    let ranked = Ranked::new(profile, &mut folder);
    let mut buffered = io::BufWriter::new(out);
    let mut page = Page::new(&mut buffered);
    header(&mut page, profile)?;
    if let Some(idle) = rendering.idle_left_out() {
        page.paragraph("  LEFT OUT ", &idle)?;
    }
    let found = findings::all(profile, &ranked);
    tables::findings(&mut page, profile, &found)?;
    if ran(profile, Probe::Syscall) {
        stacks::slow_calls(&mut page, profile, &mut folder)?;
        slowest::table(&mut page, profile)?;
        tables::syscalls(&mut page, profile, &ranked, !rendering.no_idle)?;
        tables::in_flight(&mut page, profile)?;
    }
    if ran(profile, Probe::Lock) {
        tables::locks(&mut page, profile, &ranked)?;
        stacks::lock_waits(&mut page, profile, &mut folder, &ranked)?;
    }
    if ran(profile, Probe::Lsm) {
        tables::security(&mut page, profile, &ranked)?;
    }
    if ran(profile, Probe::Offcpu) {
        waits::table::blocked(&mut page, profile, &ranked.waits, !rendering.no_idle)?;
        stacks::waits(&mut page, profile, &mut folder)?;
        waits::table::outside(&mut page, profile, &ranked.waits)?;
    }
    if ran(profile, Probe::Runq) {
        waits::table::queued(&mut page, profile, &ranked.waits)?;
    }
    if ran(profile, Probe::Cpu) {
        tables::cpu(&mut page, profile, &ranked)?;
        stacks::cpu(&mut page, profile, &mut folder)?;
    }
    let elided: Vec<_> = Probe::ALL.iter().map(|probe| (probe.name(), rendering.elided(*probe))).collect();
    counters::write(&mut page, profile, &found)?;
    tables::losses(&mut page, profile, &elided)?;
    unseen(&mut page, &profile.header.probes)?;
    environment::write(&mut page, &profile.header)?;
    tables::cost(&mut page, profile)?;
    buffered.flush()
}

/// Whether a probe ran, or has rows all the same.
fn ran(profile: &Profile, probe: Probe) -> bool {
    let planned = profile.header.probes.iter().any(|plan| plan.probe == probe.measured_by() && plan.active);
    planned || probe.events(profile).0 > 0
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
    // Some are sentences, others a cause and its mend.
    let stopped = |miss: &String| format!("{}.", clean::line(miss, 300).trim_end_matches('.'));
    let misses: Vec<_> = plan.misses.iter().map(stopped).collect();
    misses.join(" ")
}
