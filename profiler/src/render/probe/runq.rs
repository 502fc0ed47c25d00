//! `runq`: waits for a CPU as `container;comm (pid);why;CPU n`, in ns.
//!
//! In: rows of waits. Out: paths.

use super::super::fold::Folder;
use super::super::syscalls::CallClass;
use crate::profile::Profile;

/// The probe's name.
pub const NAME: &str = "runq";
/// The picture's title.
pub const TITLE: &str = "waits for a CPU";

/// Waits that ended.
pub fn events(profile: &Profile) -> u64 {
    let queued = profile.waits.rows.iter().filter(|(key, _)| key.wait.is_runnable());
    queued.map(|(_, row)| row.count()).fold(0, u64::saturating_add)
}

/// Folds all waits.
pub fn fold(profile: &Profile, folder: &mut Folder<'_>) {
    for (key, row) in profile.waits.rows.iter().filter(|(key, _)| key.wait.is_runnable()) {
        folder.process(key.pid).frame(key.wait.name());
        folder.end(row.total_ns, CallClass::Work);
    }
}
