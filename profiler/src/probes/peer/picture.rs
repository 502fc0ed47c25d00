//! `peer`: time that calls slept until something came, as `peer;container;comm (pid);call`.
//!
//! In: rows of receives. Out: paths, weighing ns. A wait for a peer that connected to the process is a wait
//! for new work.

use super::lines::class;
use crate::profile::Profile;
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::syscalls;

/// The picture.
pub const DRAWING: Drawing = Drawing {
    unit: "ns",
    title: |_| "waits until data of a peer came".to_owned(),
    events,
    event: "receives that slept",
    of: &[Population::Calls],
    fold,
};

/// Receives.
pub fn events(profile: &Profile) -> u64 {
    profile.peer.rows.values().map(|row| row.waits.count()).fold(0, u64::saturating_add)
}

/// Folds all of them.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let whole = &folder.profile().peer;
    for (key, row) in &measured.peer.rows {
        folder.frame(&whole.shown(key.peer).to_string());
        folder.process(key.pid);
        folder.frame(&syscalls::name(key.nr));
        folder.end(row.waits.total_ns, class(key.connected));
    }
}
