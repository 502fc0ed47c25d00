//! `profiler report`: a saved capture, rendered again.
//!
//! In: a capture, from any machine and any version up to this one. Out: one rendering on stdout,
//! or all of them as files; the same bytes that `record` made.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::to_stdout;
use crate::capture;
use crate::cli::settings::{Picture, Probe, ReportFormat, ReportSettings};
use crate::failure::Failure;
use crate::profile::Profile;
use crate::render::{self, Format, Rendering};

/// Runs it.
///
/// # Errors
/// `Usage` when the path names no file, `Runtime` when it gives no profile or the output fails.
pub fn run(settings: &ReportSettings) -> Result<(), Failure> {
    let profile = capture::read(&settings.capture)?;
    if let Some(tail) = &profile.missing_tail {
        tracing::warn!("{}: {tail}", settings.capture.display());
    }
    let rendering = Rendering::new(&profile).without_idle(settings.no_idle);
    let Some(directory) = &settings.output else {
        let format = format(settings.format);
        if let (Format::Folded(_), Some(idle)) = (format, rendering.idle_left_out()) {
            tracing::warn!("left out: {idle}");
        }
        return to_stdout(|out| rendering.write(format, out));
    };
    let written = write_all(&profile, &rendering, directory)?;
    to_stdout(|out| Ok(written.iter().try_for_each(|path| writeln!(out, "{}", path.display()))?))
}

/// Writes `summary.json` and, for each probe that ran, `NAME.folded` and `NAME.svg`, for `syscall` also
/// `syscall-heat.svg`, into
/// `directory`, which is made (mode 0700) if it is missing; gives their paths in that order.
///
/// # Errors
/// The directory or a file cannot be written; each file is whole or not there.
pub fn write_all(
    profile: &Profile,
    rendering: &Rendering<'_>,
    directory: &Path,
) -> anyhow::Result<Vec<PathBuf>> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot create the output directory {}", directory.display()))?;
    let mut files = vec![("summary.json".to_owned(), Format::Json)];
    for &probe in render::Probe::ALL {
        let name = probe.name();
        if profile.header.probes.iter().any(|plan| plan.active && plan.probe == probe.measured_by()) {
            files.push((format!("{name}.folded"), Format::Folded(probe)));
            files.push((format!("{name}.svg"), Format::Svg(probe)));
            if probe == render::Probe::Syscall {
                files.push((format!("{name}-heat.svg"), format(ReportFormat::Heat)));
            }
        }
    }
    let mut written = Vec::new();
    for (name, format) in files {
        let path = directory.join(name);
        capture::publish(&path, |out| rendering.write(format, out))?;
        written.push(path);
    }
    Ok(written)
}

/// The stages know nothing of the command line, so its choice is spelled out in their terms.
fn format(chosen: ReportFormat) -> Format {
    let probe = |picture| match picture {
        Picture::Probe(Probe::Syscall) => render::Probe::Syscall,
        Picture::Probe(Probe::Lock) => render::Probe::Lock,
        Picture::Probe(Probe::Lsm) => render::Probe::Lsm,
        Picture::Probe(Probe::Offcpu) => render::Probe::Offcpu,
        Picture::Probe(Probe::Runq) => render::Probe::Runq,
        Picture::Probe(Probe::Cpu) => render::Probe::Cpu,
        Picture::Latency => render::Probe::Latency,
        Picture::Wakers => render::Probe::Wakers,
    };
    match chosen {
        ReportFormat::Text => Format::Text,
        ReportFormat::Json => Format::Json,
        ReportFormat::Heat => Format::Heat,
        ReportFormat::Folded(chosen) => Format::Folded(probe(chosen)),
        ReportFormat::Svg(chosen) => Format::Svg(probe(chosen)),
    }
}
