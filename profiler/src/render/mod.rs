//! Rendering: from a profile to bytes, and nothing else.
//!
//! In: [`Profile`]. Out: the terminal summary, `summary.json`, folded stacks, flame graphs.
//! All of it is a pure function of the profile, so `report` on another machine writes the same
//! bytes. A format is one file: `summary`, `json`, `fold`, `svg`; what a probe adds is in its folder in `probes`.

pub(crate) mod blank;
pub(crate) mod caption;
pub(crate) mod cause;
pub mod clean;
mod counters;
mod cuts;
pub(crate) mod deaths;
pub(crate) mod drawing;
mod drawn;
mod environment;
pub mod errno;
pub(crate) mod findings;
pub(crate) mod fold;
mod folded_lines;
pub(crate) mod group;
pub(crate) mod heat_marks;
pub mod humane;
mod idle;
mod json;
pub(crate) mod json_row;
mod layout;
pub mod locks;
pub(crate) mod name;
pub(crate) mod page;
mod palette;
pub mod pictures;
pub(crate) mod presence;
mod quota;
pub(crate) mod ranked;
mod rendering;
pub(crate) mod rule;
pub(crate) mod sampled;
pub(crate) mod scene;
pub(crate) mod sheet;
pub(crate) mod signal;
pub(crate) mod stack_lines;
mod summary;
mod svg;
pub mod syscalls;
pub(crate) mod table;
mod tables;
pub(crate) mod telling;
pub(crate) mod thread;
pub(crate) mod time_line;
mod tree;
pub(crate) mod who;
pub(crate) mod window;

use std::io::Write;

use crate::probe::Picture;
use crate::profile::Profile;
pub use rendering::{Made, Rendering};
pub use scene::Idle;
pub(crate) use summary::blocks;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The terminal summary.
    Text,
    /// `summary.json`, see `docs/summary.md`.
    Json,
    /// Folded stacks of one picture: everything, nothing pruned.
    Folded(Picture),
    /// The flame graph of one picture.
    Svg(Picture),
    /// Heat maps of the latencies of system calls over time.
    Heat,
    /// The flame graph without its script: for goldens and for viewers that refuse scripts.
    PlainSvg(Picture),
}

/// Renders a profile once; for several formats keep a [`Rendering`], which folds only once.
///
/// # Errors
/// What the writer returns: a closed pipe is an [`std::io::Error`] inside.
pub fn render(profile: &Profile, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
    Rendering::new(profile).write(format, out)
}

impl Rendering<'_> {
    /// Writes one format.
    ///
    /// # Errors
    /// What the writer returns.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> anyhow::Result<()> {
        match format {
            Format::Text => summary::write(self, out)?,
            Format::Json => out.write_all(&json::summary(self)?.bytes)?,
            Format::Folded(picture) => folded_lines::write(&self.made(picture).folded, out)?,
            Format::Heat => crate::probes::syscall::heat::write(self.profile(), out)?,
            Format::Svg(picture) => svg::write(self, picture, true, out)?,
            Format::PlainSvg(picture) => svg::write(self, picture, false, out)?,
        }
        Ok(out.flush()?)
    }
}
