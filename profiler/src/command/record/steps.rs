//! `record --steps` (hidden): attaches and detaches when it is told, as often as it is told, and measures nothing: for
//! `cargo xtask soak`.
//!
//! In: settings, who is measured; a line on stdin for each step. Out: `attached` and the milliseconds that took, then
//! `detached`, in turns, until stdin ends.

use std::time::Instant;

use super::header::Plan;
use super::request;
use super::scope::Scope;
use crate::cli::settings::RecordSettings;
use crate::command::to_stdout;
use crate::failure::Failure;
use crate::probe::Probes;

/// Runs it.
///
/// # Errors
/// As a recording: whatever the kernel refuses.
pub fn run(settings: &RecordSettings, scope: &Scope) -> Result<(), Failure> {
    let plan = Plan::new(settings)?;
    let mut steps = std::io::stdin().lines().map_while(Result::ok);
    while steps.next().is_some() {
        let begin = Instant::now();
        let mut probes = Probes::start(request(settings, scope))?;
        probes.complete(&plan.assessments)?;
        to_stdout(|out| Ok(writeln!(out, "attached {}", begin.elapsed().as_millis())?))?;
        let _ = steps.next();
        probes.stop();
        drop(probes);
        to_stdout(|out| Ok(writeln!(out, "detached")?))?;
    }
    Ok(())
}
