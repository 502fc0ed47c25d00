//! Rendering: a stub with the agreed interface, replaced when the stage is merged.
//!
//! In: a profile and a format. Out: a line, so that what goes around it can be tested.

use std::io::Write;

use crate::profile::Profile;

/// What to render.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    /// Tables.
    Text,
    /// The summary.
    Json,
    /// Folded stacks.
    Folded(Probe),
    /// A flame graph.
    Svg(Probe),
}

/// Of which probe.
#[derive(Clone, Copy, Debug)]
pub enum Probe {
    /// System calls.
    Syscall,
    /// Lock waits.
    Lock,
    /// CPU samples.
    Cpu,
}

/// Renders.
///
/// # Errors
/// `out` fails.
pub fn render(profile: &Profile, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
    for key in profile.cpu.rows.keys() {
        writeln!(out, "{format:?} {key:?}")?;
    }
    Ok(writeln!(out, "{:?}", profile.missing_tail)?)
}
