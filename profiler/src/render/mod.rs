//! Rendering: from a profile to bytes, and nothing else.
//!
//! In: [`Profile`]. Out: the terminal summary, `summary.json`, folded stacks, flame graphs.
//! All of it is a pure function of the profile, so `report` on another machine writes the same
//! bytes. A format is one file: `summary`, `json`, `fold`, `svg`; a probe is one in `probe`.

mod cause;
pub mod clean;
mod counters;
mod environment;
pub mod errno;
mod findings;
mod fold;
mod group;
mod heat;
pub mod holders;
pub mod humane;
mod idle;
mod json;
mod layout;
pub mod locks;
mod name;
mod page;
mod palette;
mod parts;
mod picture;
pub mod probe;
mod rows;
mod security;
mod slowest;
mod stacks;
mod summary;
mod svg;
pub mod syscalls;
mod tables;
mod tracing;
mod tree;
mod waits;

use std::cell::OnceCell;
use std::io::Write;

pub use probe::Probe;

use crate::profile::Profile;
use fold::Folded;
use picture::Picture;
use syscalls::CallClass;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The terminal summary.
    Text,
    /// `summary.json`, see `docs/summary.md`.
    Json,
    /// Folded stacks of one probe: everything, nothing pruned.
    Folded(Probe),
    /// The flame graph of one probe.
    Svg(Probe),
    /// Heat maps of the latencies of system calls over time.
    Heat,
    /// The flame graph without its script: for goldens and for viewers that refuse scripts.
    PlainSvg(Probe),
}

/// Renders a profile once; for several formats keep a [`Rendering`], which folds only once.
///
/// # Errors
/// What the writer returns: a closed pipe is an [`std::io::Error`] inside.
pub fn render(profile: &Profile, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
    Rendering::new(profile).write(format, out)
}

/// A profile being rendered: what several formats need is made once.
pub struct Rendering<'p> {
    profile: &'p Profile,
    no_idle: bool,
    folded: [OnceCell<Folded>; Probe::ALL.len()],
    pictures: [OnceCell<Picture>; Probe::ALL.len()],
}

impl<'p> Rendering<'p> {
    /// Nothing made yet.
    pub fn new(profile: &'p Profile) -> Self {
        Self { profile, no_idle: false, folded: Default::default(), pictures: Default::default() }
    }

    /// Leaves idle waits out of tables and pictures if `no_idle`, not out of `summary.json`.
    pub fn without_idle(self, no_idle: bool) -> Self {
        Self { no_idle, folded: Default::default(), pictures: Default::default(), ..self }
    }

    /// How many idle waits are left out, in words; none when nothing is.
    pub fn idle_left_out(&self) -> Option<String> {
        if self.no_idle { idle::sentence(self.profile) } else { None }
    }

    /// Writes one format.
    ///
    /// # Errors
    /// What the writer returns.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
        match format {
            Format::Text => summary::write(self, out)?,
            Format::Json => json::write(self, out)?,
            Format::Folded(probe) => self.folded(probe).write(out)?,
            Format::Heat => heat::write(self.profile, out)?,
            Format::Svg(probe) => svg::write(self, probe, true, out)?,
            Format::PlainSvg(probe) => svg::write(self, probe, false, out)?,
        }
        Ok(out.flush()?)
    }

    /// Share of a probe's picture that is too narrow to draw, 0..=1.
    pub fn elided(&self, probe: Probe) -> f64 {
        self.picture(probe).tree.elided()
    }

    const fn profile(&self) -> &'p Profile {
        self.profile
    }

    fn folded(&self, probe: Probe) -> &Folded {
        self.folded[probe as usize].get_or_init(|| {
            let folded = probe.fold(self.profile);
            if self.no_idle { folded.leave_out(CallClass::Idle) } else { folded }
        })
    }

    fn picture(&self, probe: Probe) -> &Picture {
        self.pictures[probe as usize].get_or_init(|| Picture::new(self.folded(probe)))
    }
}
