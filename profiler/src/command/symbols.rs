//! `profiler report --symbols`: names for a capture that has none, from files of the same build.
//!
//! In: a profile, a directory. Out: the profile with more names; on stderr what in the directory was of no use, and which
//! files would name the rest.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::profile::{Class, Profile};
use crate::symbol::Limits;
use crate::symbol::given::{Lacking, supply};

/// Builds that are asked for, one line each.
const ASKED: usize = 12;

/// Adds what names the directory has.
///
/// # Errors
/// `Usage` when there is no such directory, `Runtime` when it cannot be read.
pub fn add(profile: &mut Profile, directory: &Path) -> Result<(), Failure> {
    // Nobody waits for a recording here: a slow disk may take its time.
    let limits = Limits { silence: Duration::from_secs(10), ..Limits::default() };
    let supply = supply(directory, &profile.stacks, &limits).map_err(|error| {
        let text = |why: &dyn std::fmt::Display| format!("--symbols {}: {why}", directory.display());
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                Failure::Usage(text(&"there is no such directory"))
            }
            _ => Failure::Runtime(anyhow::anyhow!(text(&error))),
        }
    })?;
    for warning in &supply.warnings {
        tracing::warn!("--symbols {}{warning}", directory.display());
    }
    let named = supply.symbols.frames.len();
    let cut = profile.stacks.resolve(supply.symbols);
    profile.ledger.count(Class::InlinedCut, cut);
    profile.ledger.take_back(Class::UserFrameUnnamed, named as u64);
    tracing::info!("--symbols: {named} frames named by {} files", supply.used);
    if supply.links > 0 && !supply.lacking.is_empty() {
        tracing::warn!(
            "--symbols {}: {} symbolic links were not followed",
            directory.display(),
            supply.links
        );
    }
    asked(&supply.lacking, named, supply.used);
    Ok(())
}

/// Says which files would name the rest.
fn asked(lacking: &[Lacking], named: usize, used: usize) {
    let frames: usize = lacking.iter().map(|lacking| lacking.frames).sum();
    if frames == 0 {
        return;
    }
    tracing::warn!(
        "--symbols: {named} frames named by {used} files; {frames} frames still have no name, of:"
    );
    for lacking in lacking.iter().take(ASKED) {
        let id = match lacking.build_id.as_str() {
            "" => "no build-id known, so nothing can be matched".to_owned(),
            id => format!("build-id {id}"),
        };
        tracing::warn!("  {}: {} frames, {id}", lacking.path, lacking.frames);
    }
    if let Some(more) = lacking.len().checked_sub(ASKED).filter(|more| *more > 0) {
        tracing::warn!("  and {more} more files");
    }
}
