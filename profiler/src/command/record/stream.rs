//! A capture that goes to stdout: `record -o -`.
//!
//! In: settings, then a finished capture. Out: its bytes on stdout, and nothing on the disk. The capture
//! grows in a private directory until it is whole, so that a slow reader does not hold the recording up. If
//! it cannot be written to stdout, it stays in that directory, and the message names the place.

use std::fs::File;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};

use super::stop::Impatience;
use crate::capture::{Directory, FINISHED, PARTIAL};
use crate::cli::settings::RecordSettings;
use crate::command::stdout::{Stoppable, to_stdout};
use crate::failure::Failure;
use crate::profile::Profile;

/// Whether the capture goes to stdout.
pub fn is_asked(settings: &RecordSettings) -> bool {
    settings.output.as_ref().is_some_and(|path| path.as_os_str() == "-")
}

/// Where the capture grows, if the user said so, or said stdout.
pub fn directory(settings: &RecordSettings) -> Option<PathBuf> {
    if !is_asked(settings) {
        return settings.output.clone();
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    Some(std::env::temp_dir().join(format!("profiler-{}-{since}", std::process::id())))
}

/// Copies the capture to stdout and removes it. One that is not whole is copied, too, and stays.
///
/// # Errors
/// The reader has gone, or nobody waits for it any more; the capture is not whole.
pub fn write(profile: &Profile, directory: &Directory, impatience: &Impatience) -> Result<(), Failure> {
    let name = if profile.missing_tail.is_some() { PARTIAL } else { FINISHED };
    let path = directory.path().join(name);
    let mut file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let stop = || impatience.has_come();
    let mut whole = false;
    let copied = to_stdout(|out| {
        let mut out = Stoppable { out, stop: &stop };
        std::io::copy(&mut file, &mut out).context("the capture did not reach stdout")?;
        std::io::Write::flush(&mut out).context("the capture did not reach stdout")?;
        whole = true;
        Ok(())
    });
    let stays = format!("it lies in {}", path.display());
    match (copied, &profile.missing_tail) {
        (Err(error), _) => Err(anyhow!("{error}; {stays}").into()),
        (Ok(()), _) if !whole => {
            Err(anyhow!("the reader of stdout has gone before the capture was written; {stays}").into())
        }
        (Ok(()), Some(why)) => Err(anyhow!("{why}; {stays}, too").into()),
        (Ok(()), None) => {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            directory.remove_if_made();
            Ok(())
        }
    }
}
