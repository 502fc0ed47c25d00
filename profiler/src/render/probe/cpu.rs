//! `cpu`: samples as `container;comm (pid);user…;kernel…_[k]`.
//!
//! In: rows of samples. Out: paths, weighing samples.

use super::super::fold::Folder;
use super::super::syscalls::CallClass;
use crate::profile::rows::CpuKey;
use crate::profile::{Header, Profile, StackId};

/// The probe's name.
pub const NAME: &str = "cpu";

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
pub fn fold(profile: &Profile, folder: &mut Folder<'_>) {
    for (key, row) in &profile.cpu.rows {
        folder.process(key.pid);
        push(key, folder);
        folder.end(row.samples, CallClass::Work);
    }
}
