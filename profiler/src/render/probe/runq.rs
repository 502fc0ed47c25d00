//! `runq`: waits for a CPU as `container;comm (pid);why;call()`, in ns.
//!
//! In: rows of waits. Out: paths; waits for a CPU are never idle, whatever the call. Who ran meanwhile is known of
//! the long ones only, and not by why: it stands in the table and in `summary.json`, not here.

use super::super::fold::Folder;
use super::super::syscalls::CallClass;
use super::offcpu;
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
        folder.process(key.pid).frame(key.wait.name()).frame(&offcpu::call(key));
        folder.end(row.total_ns, CallClass::Work);
    }
}
