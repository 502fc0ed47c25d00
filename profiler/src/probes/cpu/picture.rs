//! `cpu`: samples as `container;comm (pid);user…;kernel…_[k]`.
//!
//! In: rows of samples. Out: paths, weighing samples.

use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::rows::CpuKey;
use crate::profile::{Header, Profile, StackId};
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::syscalls::CallClass;

/// The picture.
pub const DRAWING: Drawing =
    Drawing { unit: "samples", title, events, event: "samples", of: &[Population::Samples], fold };

/// The picture's title.
pub fn title(header: &Header) -> String {
    match header.frequency_hz {
        0 => "CPU samples".to_owned(),
        frequency => format!("CPU samples at {frequency} Hz"),
    }
}

/// Samples.
pub fn events(profile: &Profile) -> u64 {
    profile.cpu.rows.values().map(|row| row.samples).fold(0, u64::saturating_add)
}

/// Pushes the stacks of one kind of sample.
pub fn push(key: &CpuKey, folder: &mut Folder<'_>) {
    let no_stack = (key.kernel == StackId::NONE).then_some("[user stack missing]");
    folder.stack(key.user, no_stack).stack(key.kernel, None);
}

/// Folds all samples.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    for (key, row) in &measured.cpu.rows {
        folder.process(key.pid);
        push(key, folder);
        folder.end(row.samples, CallClass::Work);
    }
}
