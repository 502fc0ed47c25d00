//! The commands: each puts the stages together, in its own file.
//!
//! In: validated settings. Out: data on stdout or in files, everything else on stderr.

pub mod check;
mod diff;
pub mod record;
pub mod report;
pub mod stdout;
mod symbols;
mod targets;

use std::io;

use crate::cli::Settings;
use crate::failure::Failure;

/// Runs one command; the exit code.
///
/// # Errors
/// As the command says.
pub fn run(settings: Settings) -> Result<u8, Failure> {
    match settings {
        Settings::Record(settings) => return record::run(&settings),
        Settings::Report(settings) => report::run(&settings)?,
        Settings::Diff(settings) => diff::run(&settings)?,
        Settings::Check(settings) => {
            check::run(settings.json, settings.verbosity > 0, &mut io::stdout().lock())?;
        }
        Settings::Targets(settings) => targets::run(&settings)?,
        Settings::Print(text) => stdout::to_stdout(|out| Ok(out.write_all(text.as_bytes())?))?,
    }
    Ok(0)
}
