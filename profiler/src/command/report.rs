//! `profiler report`: a saved capture, rendered again.
//!
//! In: a capture, from any machine and any version up to this one. Out: one rendering on stdout, or all of
//! them as files; the same bytes that `record` made. The page reads the capture again, to learn what happened
//! when.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::stdout::{Stoppable, to_stdout};
use super::symbols;
use crate::capture::{self, Directory};
use crate::cli::settings::{IdleRows, ReportFormat, ReportSettings};
use crate::export;
use crate::failure::Failure;
use crate::html::{Ended, Page};
use crate::probe::Picture;
use crate::profile::{Class, Profile};
use crate::redact;
use crate::render::{Format, Idle, Rendering};

impl From<IdleRows> for Idle {
    fn from(rows: IdleRows) -> Self {
        match rows {
            IdleRows::Apart => Self::Apart,
            IdleRows::LeftOut => Self::LeftOut,
            IdleRows::Among => Self::Among,
        }
    }
}

/// Runs it.
///
/// # Errors
/// `Usage` when a path names no file or directory, `Runtime` when it gives no profile or the output fails.
pub fn run(settings: &ReportSettings) -> Result<(), Failure> {
    let mut profile = capture::read(&settings.capture)?;
    if let Some(tail) = &profile.missing_tail {
        tracing::warn!("{}: {tail}", settings.capture.display());
    }
    if let Some(directory) = &settings.symbols {
        symbols::add(&mut profile, directory)?;
    }
    if settings.redact {
        redact::redact(&mut profile);
    }
    let rendering = Rendering::new(&profile).with_idle(settings.idle.into());
    let Some(directory) = &settings.output else {
        if let (ReportFormat::Folded(_), Some(idle)) = (settings.format, rendering.idle_left_out()) {
            tracing::warn!("left out: {idle}");
        }
        return to_stdout(|out| print(&rendering, settings, out));
    };
    let written = write_all(&rendering, &settings.capture, &Directory::open(directory)?, &|| false)
        .map_err(|unwritten| unwritten.why)?;
    to_stdout(|out| Ok(written.iter().try_for_each(|path| writeln!(out, "{}", path.display()))?))
}

/// Why not all files are written.
#[derive(Debug)]
pub struct Unwritten {
    /// Names of the files that are not there.
    pub missing: Vec<String>,
    /// Nobody waited for them any more.
    pub stopped: bool,
    /// What happened.
    pub why: anyhow::Error,
}

/// Writes `report.html`, `summary.json` and, for each probe that ran, `NAME.folded` and `NAME.svg`, for `syscall` also
/// `syscall-heat.svg`, into `directory`; gives their paths in that order. `capture` is where the rendering's capture
/// lies. Ends early when `stop` says so.
///
/// # Errors
/// A file cannot be written, or it was told to stop; each file is whole or not there.
pub fn write_all(
    rendering: &Rendering<'_>,
    capture: &Path,
    directory: &Directory,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<PathBuf>, Unwritten> {
    let files = files(rendering.profile());
    let mut written = Vec::new();
    for (at, (name, format)) in files.iter().enumerate() {
        let write = |out: &mut dyn Write| {
            let mut out = Stoppable { out, stop };
            match format {
                Some(format) => rendering.write(*format, &mut out),
                None => page(rendering, capture, &mut out),
            }
        };
        match directory.publish(name, write) {
            Ok(path) => written.push(path),
            Err(why) => {
                let missing = files[at..].iter().map(|(name, _)| name.clone()).collect();
                return Err(Unwritten { missing, stopped: stop(), why });
            }
        }
    }
    Ok(written)
}

/// Names of the files, with their formats; none is the page's.
fn files(profile: &Profile) -> Vec<(String, Option<Format>)> {
    // The page first: what it had no room for is a loss that the others tell.
    let mut files = vec![("report.html".to_owned(), None), ("summary.json".to_owned(), Some(Format::Json))];
    for &picture in Picture::ALL {
        let (name, probe) = (picture.name(), picture.probe().name());
        if profile.header.probes.iter().any(|plan| plan.active && plan.probe == probe) {
            files.push((format!("{name}.folded"), Some(Format::Folded(picture))));
            files.push((format!("{name}.svg"), Some(Format::Svg(picture))));
            if picture == Picture::Syscall {
                files.push((format!("{name}-heat.svg"), Some(Format::Heat)));
            }
        }
    }
    files
}

/// Writes the page. A capture that can be read no more leaves it without times, which it says.
fn page(rendering: &Rendering<'_>, capture: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let page = timed(rendering, capture).unwrap_or_else(|why| {
        tracing::warn!("report.html has no times: {why}");
        Page::new(rendering, Ended::default())
    });
    page.write(out)
}

/// The page with its times, for which the capture is read again: twice, if it must be known which processes were summed up.
fn timed<'r>(rendering: &'r Rendering<'r>, capture: &Path) -> anyhow::Result<Page<'r>> {
    let profile = rendering.profile();
    let mut ended = Ended::none_of(profile.duration_ns);
    if profile.ledger.get(Class::ProcessFolded) > 0 {
        ended = Ended::default();
        capture::read_with(capture, &mut |chunk| {
            ended.look(&chunk);
            None
        })?;
    }
    let mut page = Page::new(rendering, ended);
    capture::read_with(capture, &mut |chunk| {
        page.timed().look(chunk);
        None
    })?;
    Ok(page)
}

/// The stages know nothing of the command line, so its choice is spelled out in their terms.
fn print(rendering: &Rendering<'_>, settings: &ReportSettings, out: &mut dyn Write) -> anyhow::Result<()> {
    let format = match settings.format {
        ReportFormat::Text => Format::Text,
        ReportFormat::Json => Format::Json,
        ReportFormat::Heat => Format::Heat,
        ReportFormat::Html => return page(rendering, &settings.capture, out),
        ReportFormat::Folded(picture) => Format::Folded(picture),
        ReportFormat::Svg(picture) => Format::Svg(picture),
        ReportFormat::Export(format, picture) => return export::write(format, rendering, picture, out),
    };
    rendering.write(format, out)
}
