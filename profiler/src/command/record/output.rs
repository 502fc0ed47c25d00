//! The output directory: the growing capture, then the pictures beside it.
//!
//! In: chunks. Out: `capture.profiler`, `summary.json` and per probe `NAME.folded`, `NAME.svg`;
//! `syscall-heat.svg`; `report.html`.

use std::io::{Write as _, stderr};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};

use super::stop::Impatience;
use super::stream;
use crate::capture::{Directory, FINISHED, PARTIAL, Room, Writer};
use crate::cli::settings::RecordSettings;
use crate::command::report::write_all;
use crate::command::stdout::{Stoppable, to_stdout};
use crate::failure::Failure;
use crate::profile::{Chunk, Profile};
use crate::render::{Format, Rendering, humane};

/// Room that a recording leaves on its disk, bytes: this much, or this part of the disk where that is less.
const SPARED: u64 = 64 << 20;
const SPARED_PART: u64 = 20;

/// Where a session is written. If it is dropped before anything was measured, it leaves nothing behind: a
/// failed attach must not stand in the way of the next try.
pub struct Output {
    directory: Directory,
    writer: Option<Writer>,
    measured: bool,
    /// Bytes that the capture may take.
    max_size: u64,
    /// Since when and why nothing more is appended.
    broken: Option<String>,
}

impl Output {
    /// Creates the directory and the partial capture in it, before anything is measured.
    ///
    /// # Errors
    /// A directory that cannot be written, or that holds a capture already.
    pub fn create(settings: &RecordSettings) -> Result<Self, Failure> {
        let directory = Directory::open(&stream::directory(settings).unwrap_or_else(default_directory))?;
        let mut output =
            Self { directory, writer: None, measured: false, max_size: settings.max_size, broken: None };
        match Writer::create_in(&output.directory) {
            Ok(writer) => output.writer = Some(writer),
            Err(failure) => {
                output.directory.remove_if_made();
                return Err(failure);
            }
        }
        Ok(output)
    }

    /// Appends a chunk; it survives this process's death once this returns, but not a crash of the machine. A
    /// disk that is full ends the capture, not the recording, whose tables are still worth having.
    ///
    /// # Errors
    /// Not even the first chunk can be written.
    pub fn append(&mut self, chunk: &Chunk, at_ns: u64) -> Result<(), Failure> {
        if self.broken.is_some() {
            return Ok(());
        }
        let writer = self.writer.as_mut().context("the capture is closed")?;
        match writer.append(chunk) {
            Ok(()) => self.measured |= matches!(chunk, Chunk::Interval(_)),
            Err(error) if matches!(chunk, Chunk::Header(_)) => return Err(error.into()),
            Err(error) => {
                let second = at_ns as f64 / 1e9;
                let why = format!(
                    "from second {second:.1} on nothing could be written ({error:#}): the capture stays {PARTIAL} and ends there"
                );
                tracing::warn!("{why}; recording goes on, for the tables");
                self.broken = Some(why);
            }
        }
        Ok(())
    }

    /// Why the recording must end now, if it must: the capture's size, or the room on its disk.
    pub fn full(&self) -> Option<String> {
        let writer = self.writer.as_ref().filter(|_| self.measured && self.broken.is_none())?;
        full(writer.bytes(), self.max_size, self.directory.room())
    }

    /// Completes the capture; returns its directory, and why it is not whole if it is not.
    pub fn finish(mut self) -> anyhow::Result<(Directory, Option<String>)> {
        let writer = self.writer.take().context("the capture is closed")?;
        let directory = self.directory.try_clone()?;
        let why = match self.broken.take() {
            Some(why) => Some(why),
            None => writer.finish().err().map(|error| format!("{error:#}: the capture stays {PARTIAL}")),
        };
        Ok((directory, why))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take().filter(|_| !self.measured) else { return };
        // What failed before is being reported; a file that stays is named by the next try.
        if writer.discard().is_ok() {
            self.directory.remove_if_made();
        }
    }
}

/// Why a capture of `bytes` must not grow: it has taken its part of `max_size`, or the disk, of which `room` is left, is
/// nearly full. The rest is for names, the last second and the results.
fn full(bytes: u64, max_size: u64, room: Option<Room>) -> Option<String> {
    if bytes >= max_size / 4 * 3 {
        return Some(format!(
            "the capture takes {}, over three quarters of --max-size; the rest is for names; fix: a larger --max-size",
            humane::bytes(bytes)
        ));
    }
    let spare = |room: &Room| SPARED.min(room.size / SPARED_PART);
    let room = room.filter(|room| room.size > 0 && room.free < spare(room))?;
    Some(format!(
        "its disk has only {} left, which names and results need; fix: -o on another disk",
        humane::bytes(room.free)
    ))
}

/// Writes the pictures beside the capture and the summary to stdout, also where a picture cannot be written; where they
/// are goes to stderr, unless that was asked to be quiet. Writes nothing more once somebody is impatient.
///
/// # Errors
/// A file or stdout that cannot be written, a capture that is not whole, an end before everything is written; everything
/// that could be written is by then.
pub fn publish(
    profile: &Profile,
    directory: &Directory,
    settings: &RecordSettings,
    impatience: &Impatience,
) -> Result<(), Failure> {
    if stream::is_asked(settings) {
        return stream::write(profile, directory, impatience);
    }
    let rendering = Rendering::new(profile).with_idle(settings.idle.into());
    let stop = || impatience.has_come();
    let written = match write_all(&rendering, &held(directory), directory, &stop) {
        Ok(written) => Ok(written),
        Err(unwritten) if unwritten.stopped => return Err(ended(profile, directory, &unwritten.missing)),
        Err(unwritten) => Err(unwritten.why),
    };
    let format = if settings.json { Format::Json } else { Format::Text };
    let shown = to_stdout(|out| rendering.write(format, &mut Stoppable { out, stop: &stop }));
    if shown.is_err() && stop() {
        return Err(ended(profile, directory, &[]));
    }
    shown?;
    let path = directory.path();
    let written = match (written, &profile.missing_tail) {
        (Ok(written), None) => written,
        (Ok(_), Some(why)) => return Err(anyhow!("{why}").into()),
        (Err(error), None) => {
            return Err(anyhow!(
                "{error:#}; the capture is whole: `profiler report {} -o ELSEWHERE` makes the rest",
                path.display()
            )
            .into());
        }
        (Err(error), Some(why)) => return Err(anyhow!("{error:#}; {why}").into()),
    };
    if settings.verbosity < 0 {
        return Ok(());
    }
    let mut err = stderr().lock();
    let _ = writeln!(err, "\ncapture  {}", path.join(FINISHED).display());
    for path in written {
        let _ = writeln!(err, "wrote    {}", path.display());
    }
    Ok(())
}

/// The directory as it is held, whatever its path names by now.
fn held(directory: &Directory) -> PathBuf {
    Path::new("/proc/self/fd").join(directory.file().as_raw_fd().to_string())
}

/// What was not written because nobody waited for it.
fn ended(profile: &Profile, directory: &Directory, missing: &[String]) -> Failure {
    let path = directory.path().display();
    let missing = missing.iter().map(String::as_str).chain(["the tables"]).collect::<Vec<_>>().join(", ");
    let tail = profile.missing_tail.as_deref().map_or_else(String::new, |why| format!("; {why}"));
    let text = format!(
        "ended by a second Ctrl-C before all results were written; missing: {missing}; \
         `profiler report {path} -o ELSEWHERE` makes them{tail}"
    );
    anyhow!(text).into()
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
    use super::*;
    use crate::profile::{Header, ProbePlan};

    #[test]
    fn a_recording_ends_before_its_capture_or_its_disk_is_full() {
        let room = |free, size| Some(Room { free, size });
        assert_eq!(full(700, 1_000, None), None);
        assert!(full(750, 1_000, None).unwrap().contains("over three quarters of --max-size"));
        assert_eq!(full(0, 1_000, room(64 << 20, 1 << 40)), None);
        assert!(
            full(0, 1_000, room((64 << 20) - 1, 1 << 40)).unwrap().contains("disk has only 64.0 MiB left")
        );
        assert_eq!(full(0, 1_000, room(10_000, 200_000)), None, "a small disk");
        assert!(full(0, 1_000, room(9_999, 200_000)).is_some());
        assert_eq!(full(0, 1_000, room(0, 0)), None, "a file system that does not tell");
    }

    #[test]
    fn nobody_who_waits_gets_what_is_missing_in_words_and_no_half_file() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::open(parent.path()).unwrap();
        let typed = ["profiler", "record", "-q"].map(Into::into);
        let Ok(crate::cli::Request::Run(crate::cli::Settings::Record(settings))) = crate::cli::parse(typed)
        else {
            panic!("not record");
        };
        let plan = |probe: &str| ProbePlan { probe: probe.into(), active: true, ..ProbePlan::default() };
        let header = Header { probes: vec![plan("cpu")], ..Header::default() };
        let profile = Profile { header, ..Profile::default() };
        let impatience = Impatience::default();
        impatience.came.store(true, std::sync::atomic::Ordering::Relaxed);
        let told = publish(&profile, &directory, &settings, &impatience).unwrap_err().to_string();
        assert!(
            told.contains("missing: report.html, summary.json, cpu.folded, cpu.svg, the tables"),
            "{told}"
        );
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_778), (2026, 11, 21));
    }
}
