//! `runq`: waits for a CPU as `container;comm (pid);why;call()`, in ns.
//!
//! In: rows of waits. Out: paths; waits for a CPU are never idle, whatever the call. Who ran meanwhile is known only
//! for long waits, and not by reason: it is in the table and in `summary.json`, not here.

use crate::probes::offcpu::picture::call;
use crate::profile::Profile;
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::syscalls::CallClass;

/// The picture.
pub const DRAWING: Drawing = Drawing {
    unit: "ns",
    title: |_| TITLE.to_owned(),
    events,
    event: "waits for a CPU",
    of: &[Population::Waits],
    fold,
};

/// The picture's title.
pub const TITLE: &str = "waits for a CPU";

/// Waits that ended.
pub fn events(profile: &Profile) -> u64 {
    let queued = profile.waits.rows.iter().filter(|(key, _)| key.wait.is_runnable());
    queued.map(|(_, row)| row.count()).fold(0, u64::saturating_add)
}

/// Folds all waits.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    for (key, row) in measured.waits.rows.iter().filter(|(key, _)| key.wait.is_runnable()) {
        folder.process(key.pid).frame(key.wait.name()).frame(&call(key));
        folder.end(row.total_ns, CallClass::Work);
    }
}
