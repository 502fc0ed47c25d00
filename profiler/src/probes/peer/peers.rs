//! `peers`: CPU samples as `peer;container;comm (pid);user…;kernel…_[k]`.
//!
//! In: rows of samples, and of those whose thread had received. Out: paths, weighing samples. It is no probe of its own: `peer` and
//! `cpu` together measure it.

use super::cpu;
use crate::probes::cpu::picture;
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::{Header, Profile};
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::syscalls::CallClass;

/// The picture.
pub const DRAWING: Drawing =
    Drawing { unit: "samples", title, events, event: "samples", of: &[Population::Samples], fold };

/// The picture's title.
pub fn title(header: &Header) -> String {
    format!("{}, by whom their thread received from last", picture::title(header))
}

/// Samples, if any thread received.
pub fn events(profile: &Profile) -> u64 {
    if profile.peer.samples.is_empty() { 0 } else { picture::events(profile) }
}

/// Folds all samples.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let profile = folder.profile();
    cpu::each(profile, measured, &mut |whom, key, samples| {
        folder.frame(&whom.to_string()).process(key.pid);
        picture::push(key, folder);
        folder.end(samples, CallClass::Work);
    });
}
