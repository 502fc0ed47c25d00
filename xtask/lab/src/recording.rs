//! In: arguments for `profiler record`. Out: what it found in a guest, where the programs are on PATH: the summary, and the
//! folded file of a probe.

use std::{fs, path::Path};

use anyhow::{Context, Result};
pub use judge::{recording::Recording, workload::Workload};
use serde_json::Value;

/// Starts it; everything is attached when this returns.
///
/// # Errors
/// When it ends, or is not attached in time.
pub fn start(arguments: &[&str], directory: &Path) -> Result<Recording> {
    Recording::start(Path::new("profiler"), arguments, directory)
}

/// Starts it without waiting.
///
/// # Errors
/// When it cannot be started.
pub fn launch(arguments: &[&str], directory: &Path) -> Result<Recording> {
    Recording::launch(Path::new("profiler"), arguments, directory)
}

/// Ends it as Ctrl-C does, and reads what it found.
///
/// # Errors
/// When it does not end well, in time.
pub fn stop(recording: Recording, probe: &str) -> Result<(Value, String)> {
    let output = recording.output();
    recording.stop()?;
    let folded = fs::read(output.join(format!("{probe}.folded"))).context("reading the folded file")?;
    Ok((judge::recording::summary(&output)?, String::from_utf8_lossy(&folded).into_owned()))
}
