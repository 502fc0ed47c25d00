//! The output directory: the growing capture, then the pictures beside it.
//!
//! In: chunks. Out: `capture.profiler`, `summary.json` and per probe `NAME.folded`, `NAME.svg`;
//! `syscall-heat.svg`.

use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use crate::capture::{FINISHED, Writer};
use crate::cli::settings::RecordSettings;
use crate::command::report::write_all;
use crate::command::to_stdout;
use crate::failure::Failure;
use crate::profile::{Chunk, Profile};
use crate::render::{Format, Rendering};

/// Where a session is written. Dropped before anything was measured, it leaves nothing behind: a
/// failed attach must not stand in the way of the next try.
pub struct Output {
    directory: PathBuf,
    writer: Option<Writer>,
    made_directory: bool,
    measured: bool,
}

impl Output {
    /// Creates the directory and the partial capture in it, before anything is measured.
    ///
    /// # Errors
    /// A directory that cannot be written, or that holds a capture already.
    pub fn create(settings: &RecordSettings) -> Result<Self, Failure> {
        let directory = settings.output.clone().unwrap_or_else(default_directory);
        let made_directory = !directory.exists();
        let writer = Some(Writer::create(&directory)?);
        Ok(Self { directory, writer, made_directory, measured: false })
    }

    /// Appends a chunk; it is on disk when this returns (but for the machine's own crash).
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn append(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        let writer = self.writer.as_mut().context("the capture is closed")?;
        writer.append(chunk)?;
        self.measured |= matches!(chunk, Chunk::Interval(_));
        Ok(())
    }

    /// Completes the capture; returns its directory.
    ///
    /// # Errors
    /// The last write failed: the partial capture stays.
    pub fn finish(mut self) -> Result<PathBuf, Failure> {
        let writer = self.writer.take().context("the capture is closed")?;
        writer.finish()?;
        Ok(std::mem::take(&mut self.directory))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take().filter(|_| !self.measured) else { return };
        // What failed before is being reported; a file that stays is named by the next try.
        if writer.discard().is_ok() && self.made_directory {
            let _ = std::fs::remove_dir(&self.directory);
        }
    }
}

/// Writes the pictures beside the capture and the summary to stdout; where they are goes to stderr,
/// unless that was asked to be quiet.
///
/// # Errors
/// A file or stdout that cannot be written; the capture is whole by then.
pub fn publish(profile: &Profile, directory: &Path, settings: &RecordSettings) -> Result<(), Failure> {
    let rendering = Rendering::new(profile).without_idle(settings.no_idle);
    let written = write_all(profile, &rendering, directory)?;
    to_stdout(|out| rendering.write(if settings.json { Format::Json } else { Format::Text }, out))?;
    if settings.verbosity < 0 {
        return Ok(());
    }
    let mut err = stderr().lock();
    let _ = writeln!(err, "\ncapture  {}", directory.join(FINISHED).display());
    for path in written {
        let _ = writeln!(err, "wrote    {}", path.display());
    }
    Ok(())
}

/// `profiler-YYYYMMDD-HHMMSS` (UTC) in the current directory: an incident does not come twice, so
/// a session is kept even when nobody asked for it.
fn default_directory() -> PathBuf {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days as i64);
    let time = format!("{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60);
    Path::new(&format!("profiler-{year:04}{month:02}{day:02}-{time}")).to_owned()
}

/// Days since 1970-01-01 as a date of the Gregorian calendar (400-year cycle of 146,097 days).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_778), (2026, 11, 21));
    }
}
