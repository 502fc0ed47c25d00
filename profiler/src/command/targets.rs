//! `profiler targets`: a stub, replaced when its stages are merged.
//!
//! In: validated settings. Out: a failure that says so.

use crate::cli::settings::ListingSettings;
use crate::failure::Failure;

/// Runs it.
///
/// # Errors
/// Always: it is not built yet.
pub fn run(_settings: ListingSettings) -> Result<(), Failure> {
    Err(Failure::Runtime(anyhow::anyhow!("targets is not built yet")))
}
