//! `profiler record`: a stub, replaced when its stages are merged.
//!
//! In: validated settings. Out: a failure that says so.

use crate::cli::settings::RecordSettings;
use crate::failure::Failure;

/// Runs it.
///
/// # Errors
/// Always: it is not built yet.
pub fn run(_settings: RecordSettings) -> Result<(), Failure> {
    Err(Failure::Runtime(anyhow::anyhow!("record is not built yet")))
}
