//! `profiler targets`: containers with their runtime, name, image, pod and processes.
//!
//! In: this machine. Out: a table, or JSON, on stdout.

use super::stdout::to_stdout;
use crate::cli::settings::ListingSettings;
use crate::failure::Failure;
use crate::target::{self, Host};

/// Runs it.
///
/// # Errors
/// `/proc` cannot be read, or stdout cannot be written.
pub fn run(settings: &ListingSettings) -> Result<(), Failure> {
    let containers = target::list(&Host::discover()?);
    to_stdout(|out| Ok(target::write_list(&containers, settings.json, out)?))
}
