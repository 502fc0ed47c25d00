//! `offcpu`: waits that block, as `container;comm (pid);user…;call;kernel…_[k]`, in ns.
//!
//! In: rows of waits and stacks of the long ones. Out: paths; what is too short for a stack stands as such.

use super::super::fold::Folder;
use super::super::humane;
use super::super::syscalls::CallClass;
use crate::profile::{Header, Profile};

/// The probe's name.
pub const NAME: &str = "offcpu";

/// The picture's title.
pub fn title(header: &Header) -> String {
    format!("waits off the CPU, stacks of those ≥ {}", humane::setting(header.slow_ns / 16))
}

/// Waits that ended.
pub fn events(profile: &Profile) -> u64 {
    let blocked = profile.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable());
    blocked.map(|(_, row)| row.count()).fold(0, u64::saturating_add)
}

/// Folds all waits.
pub fn fold(profile: &Profile, folder: &mut Folder<'_>) {
    for (key, row) in &profile.waits.stacks {
        folder.process(key.row.pid).stack(key.user, None).stack(key.kernel, None);
        folder.end(row.total_ns, CallClass::Work);
    }
}
