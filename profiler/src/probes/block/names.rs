//! The names of disks, and of those who submit their requests.
//!
//! In: a disk, a row's submitter. Out: `vda`, `web/postgres`; `unknown (reason)` if there is no name.

use std::collections::BTreeMap;

use super::rows::{BlockKey, Disk, Kind};
use crate::profile::{Pid, Profile};
use crate::render::clean;
use crate::render::who;

/// Nobody saw who submitted it.
pub const NOBODY: &str = "unknown (not seen)";

/// A disk's name; its number where it was gone before it was asked.
pub fn disk(profile: &Profile, disk: Disk) -> String {
    match profile.block.disks.get(&disk) {
        Some(name) => clean::name(name).into_owned(),
        None => format!("disk {}:{}", disk.0 >> 20, disk.0 & 0xf_ffff),
    }
}

/// Who submitted a row's requests, and for which container if a thread of the kernel did.
pub fn process(profile: &Profile, key: &BlockKey) -> String {
    if key.pid == Pid(0) {
        return NOBODY.to_owned();
    }
    let name = who::process(profile, key.pid);
    match profile.block.cgroups.get(&key.cgroup) {
        Some(cgroup) if profile.processes.container(key.pid).is_empty() && !cgroup.is_empty() => {
            format!("{name} for {}", clean::name(cgroup))
        }
        _ => name,
    }
}

/// The kind of most requests.
pub fn most(counts: &BTreeMap<Kind, u64>) -> &'static str {
    counts.iter().max_by_key(|(_, count)| **count).map_or("", |(kind, _)| kind.name())
}
