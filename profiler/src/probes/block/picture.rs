//! `block`: time in devices as `disk;container;comm (pid);kind`.
//!
//! In: rows of requests. Out: paths, weighing ns in the device.

use super::names;
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::{Pid, Profile};
use crate::render::clean;
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::syscalls::CallClass;

/// The picture.
pub const DRAWING: Drawing = Drawing {
    unit: "ns",
    title: |_| "time of requests in disks".to_owned(),
    events,
    event: "disk requests",
    of: &[Population::Requests],
    fold,
};

/// Requests.
pub fn events(profile: &Profile) -> u64 {
    profile.block.rows.values().map(|row| row.requests).fold(0, u64::saturating_add)
}

/// Folds all requests.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let profile = folder.profile();
    for (key, row) in &measured.block.rows {
        folder.frame(&clean::frame(&names::disk(profile, key.disk)));
        match key.pid {
            Pid(0) => folder.frame(&format!("[{}]", names::NOBODY)),
            pid => folder.process(pid),
        };
        if let Some(cgroup) = profile.block.cgroups.get(&key.cgroup)
            && profile.processes.container(key.pid).is_empty()
            && !cgroup.is_empty()
        {
            folder.frame(&format!("for {}", clean::frame(cgroup)));
        }
        folder.frame(key.kind.name());
        folder.end(row.device.total_ns, CallClass::Work);
    }
}
