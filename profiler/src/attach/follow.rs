//! The target's cgroups in the kernel: which instance of each counts, and which paths are waited for.
//!
//! In: attached probes. Out: [`Instances`], which user space changes only when a target comes back under another path.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData};
use profiler_common::follow::{CgroupPath, Followed, NO_ID, NOBODY, PATH_BYTES, Waited};
use profiler_common::global::CGROUPS;

use super::request::Place;

/// In `EXECUTED`: a program was executed in the cgroup.
const EXECUTED: u64 = 1;

/// What the kernel side knows of the target's cgroups.
pub struct Instances {
    followed: Array<MapData, [Followed; CGROUPS]>,
    waited: HashMap<MapData, CgroupPath, Waited>,
    executed: HashMap<MapData, u64, u64>,
}

impl Instances {
    /// Takes the maps out of the loaded object.
    ///
    /// # Errors
    /// An object without them.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        let mut take = |name: &str| ebpf.take_map(name).with_context(|| format!("the object has no {name}"));
        Ok(Self {
            followed: Array::try_from(take(".data.follow")?)?,
            waited: HashMap::try_from(take("WAITED")?)?,
            executed: HashMap::try_from(take("EXECUTED")?)?,
        })
    }

    /// How the kernel side sees a place of the target.
    pub fn get(&self, place: usize) -> Option<Followed> {
        self.followed.get(&0, 0).ok()?.get(place).copied()
    }

    /// Lets an instance that bears the target's name take a place: it counts from its first exec, or at once when
    /// that is over. True when it was, and calls before now are lost.
    ///
    /// # Errors
    /// A `bpf(2)` call that failed.
    pub fn take(&mut self, index: usize, place: &Place) -> Result<bool> {
        let outside = self.executed.get(&place.id, 0).unwrap_or(0);
        if outside != EXECUTED {
            let awaited = Followed { awaited: place.id, awaited_level: place.level, outside, ..NOBODY };
            self.change(index, |now| Followed { id: now.id, level: now.level, ..awaited })?;
        }
        wait_for(&mut self.waited, index, place)?;
        // The first program may have come meanwhile, and before the kernel side knew.
        let late = self.executed.get(&place.id, 0).unwrap_or(0) == EXECUTED
            && self.get(index).is_some_and(|now| now.id != place.id);
        if late {
            self.begin(index, place.id, place.level)?;
        }
        Ok(late)
    }

    /// Lets an instance count from now on.
    ///
    /// # Errors
    /// A `bpf(2)` call that failed.
    pub fn begin(&mut self, index: usize, id: u64, level: u32) -> Result<()> {
        self.change(index, |_| Followed { id, level, ..NOBODY })
    }

    fn change(&mut self, index: usize, new: impl Fn(Followed) -> Followed) -> Result<()> {
        let mut all = self.followed.get(&0, 0).context("reading the target's cgroups")?;
        let place = all.get_mut(index).context("no such cgroup of the target")?;
        *place = new(*place);
        self.followed.set(0, all, 0).context("writing the target's cgroups")
    }
}

/// The target's cgroups as they are injected before load.
pub(super) fn initial(places: &[Place]) -> [Followed; CGROUPS] {
    let mut followed = [NOBODY; CGROUPS];
    for (slot, place) in followed.iter_mut().zip(places) {
        *slot = Followed { id: place.id, level: place.level, ..NOBODY };
    }
    followed
}

/// Has the kernel side wait for the paths of places that have one.
pub(super) fn wait_for_all(ebpf: &mut Ebpf, places: &[Place]) -> Result<()> {
    let map = ebpf.map_mut("WAITED").context("the object has no WAITED map")?;
    let mut waited: HashMap<_, CgroupPath, Waited> = map.try_into().context("WAITED")?;
    places.iter().enumerate().try_for_each(|(index, place)| wait_for(&mut waited, index, place))
}

/// Paths that are longer than the kernel side compares stay without.
fn wait_for<T: std::borrow::BorrowMut<MapData>>(
    waited: &mut HashMap<T, CgroupPath, Waited>,
    index: usize,
    place: &Place,
) -> Result<()> {
    let Some(path) = path(&place.path) else { return Ok(()) };
    let value = Waited { place: index as u32, begins: place.begins };
    waited.insert(path, value, 0).context("waiting for a cgroup's path")
}

/// A path as the kernel side compares it; none for an empty one, the root, and one that is too long.
fn path(path: &str) -> Option<CgroupPath> {
    let mut bytes = [0; PATH_BYTES];
    let path = path.trim_end_matches('/').as_bytes();
    let fits = !path.is_empty() && path.len() < PATH_BYTES;
    fits.then(|| {
        bytes[..path.len()].copy_from_slice(path);
        CgroupPath { bytes }
    })
}

/// Whether a cgroup's id is one.
pub fn is_somebody(id: u64) -> bool {
    id != NO_ID
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_the_kernel_side_can_compare_are_waited_for() {
        assert_eq!(path("/a/b/").unwrap().bytes[..6], *b"/a/b\0\0");
        assert!(path("/").is_none() && path("").is_none());
        assert!(path(&"x".repeat(PATH_BYTES)).is_none());
        assert!(path(&"x".repeat(PATH_BYTES - 1)).is_some());
    }

    #[test]
    fn places_without_an_instance_match_nobody() {
        let place = |id| Place { id, level: 2, path: "/a".into(), begins: 0 };
        let all = initial(&[place(7), place(NO_ID)]);
        assert_eq!((all[0].id, all[0].level, all[0].awaited), (7, 2, NO_ID));
        assert!(all[1..].iter().all(|followed| !is_somebody(followed.id)));
    }
}
