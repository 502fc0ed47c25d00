//! In: arguments for `profiler record`. Out: what it found in a guest, where the programs are on PATH: the summary, and the
//! folded files.

use std::{
    fs,
    path::{Path, PathBuf},
};

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

/// What a recording left.
pub struct Output(PathBuf);

impl Output {
    /// Its `summary.json`.
    ///
    /// # Errors
    /// When there is none.
    pub fn summary(&self) -> Result<Value> {
        judge::recording::summary(&self.0)
    }

    /// The folded file of a probe.
    ///
    /// # Errors
    /// When there is none.
    pub fn folded(&self, probe: &str) -> Result<String> {
        let folded = fs::read(self.0.join(format!("{probe}.folded"))).context("reading the folded file")?;
        Ok(String::from_utf8_lossy(&folded).into_owned())
    }
}

/// Ends it as Ctrl-C does.
///
/// # Errors
/// When it does not end well, in time.
pub fn stop(recording: Recording) -> Result<Output> {
    let output = recording.output();
    recording.stop()?;
    Ok(Output(output))
}
