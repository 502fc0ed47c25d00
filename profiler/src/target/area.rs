//! A place in the cgroup trees, and the kernel's way to recognise it.
//!
//! In: located paths in one or more hierarchies that stand for the same cgroup. Out: membership of
//! processes, intersections, and the best [`CgroupFilter`].

use std::collections::BTreeSet;

use super::hierarchy::{below, owner};
use super::host::Host;
use super::task::Task;
use crate::machine::CgroupPlace;

/// Cgroups of one hierarchy that are looked at, at most.
const MAX_PLACES: usize = 8;

/// One way of telling the target apart in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgroupFilter {
    /// A cgroup2 cgroup and everything below it.
    V2 {
        /// Its id: the inode of its directory.
        id: u64,
        /// Its depth; the root's is 0.
        level: u32,
        /// Its path.
        path: String,
    },
    /// A v1 cgroup and everything below it.
    V1 {
        /// Which controller's hierarchy, as mount options name it (`memory`, `cpu`, `blkio` …).
        controller: String,
        /// Its id: the inode of its directory, `cgroup->kn->id`.
        id: u64,
        /// Its depth, `cgroup->level`; the root's is 0.
        level: u32,
        /// Its path.
        path: String,
    },
}

impl CgroupFilter {
    /// Which enumerator of the kernel's `enum cgroup_subsys_id` (in BTF) a v1 filter looks at.
    pub fn subsystem(&self) -> Option<String> {
        match self {
            Self::V2 { .. } => None,
            Self::V1 { controller, .. } if controller == "blkio" => Some("io_cgrp_id".into()),
            Self::V1 { controller, .. } => Some(format!("{controller}_cgrp_id")),
        }
    }
}

impl std::fmt::Display for CgroupFilter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V2 { id, level, .. } => write!(out, "cgroup v2 id {id} at level {level}"),
            Self::V1 { controller, id, level, .. } => {
                write!(out, "cgroup v1 {controller} id {id} at level {level}")
            }
        }
    }
}

/// The same cgroup in each hierarchy that has it, preferred first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Area {
    pub paths: Vec<(usize, String)>,
}

impl Area {
    /// True when the process is in the cgroup or below.
    pub(super) fn holds(&self, task: &Task) -> bool {
        self.paths
            .iter()
            .any(|(place, path)| task.path_in(*place).is_some_and(|own| below(own, path).is_some()))
    }

    /// The user who may make such a cgroup: the owner of the directory that it is in, if it is not root's in each hierarchy.
    pub(super) fn maker(&self, host: &Host) -> u32 {
        let owners = self.paths.iter().filter_map(|(place, path)| {
            let (parent, _) = path.rsplit_once('/')?;
            owner(&host.hierarchies().get(*place)?.directory(parent))
        });
        owners.max().unwrap_or(0)
    }

    /// What is in both: the deeper of the two, if one is inside the other.
    pub(super) fn intersect(&self, other: &Self) -> Option<Self> {
        let pairs = self.paths.iter().flat_map(|own| other.paths.iter().map(move |their| (own, their)));
        for ((place, own), (their_place, their)) in pairs {
            if place != their_place {
                continue;
            }
            if below(own, their).is_some() {
                return Some(self.clone());
            }
            if below(their, own).is_some() {
                return Some(other.clone());
            }
        }
        None
    }

    /// The best way to recognise it in the kernel; `None` when only a named hierarchy has it.
    pub(super) fn filter(&self, host: &Host) -> Option<CgroupFilter> {
        self.paths.iter().find_map(|(place, located)| {
            let hierarchy = host.hierarchies().get(*place)?;
            let controller = hierarchy.controller();
            if !hierarchy.is_v2() && controller.is_none() {
                return None;
            }
            let (id, level) = hierarchy.identity(located)?;
            let path = hierarchy.display(located);
            Some(match controller {
                None => CgroupFilter::V2 { id, level, path },
                Some(controller) => CgroupFilter::V1 { controller: controller.to_owned(), id, level, path },
            })
        })
    }
}

/// The cgroups that hold the target, hierarchy by hierarchy: the selected ones, else those of its
/// processes. A hierarchy in which there are more than [`MAX_PLACES`] is left out.
pub(super) fn places(host: &Host, areas: &[Area], members: &[&Task]) -> Vec<CgroupPlace> {
    let mut places = Vec::new();
    for (index, hierarchy) in host.hierarchies().iter().enumerate() {
        if !hierarchy.is_v2() && hierarchy.controller().is_none() {
            continue;
        }
        let selected = areas.iter().flat_map(|area| &area.paths).filter(|(place, _)| *place == index);
        let mut paths: BTreeSet<&str> = selected.map(|(_, path)| path.as_str()).collect();
        if paths.is_empty() {
            paths = members.iter().filter_map(|task| task.path_in(index)).collect();
        }
        if hierarchy.level == Some(0) {
            // The root has no limits and counts the machine.
            paths.remove("/");
        }
        if paths.len() > MAX_PLACES {
            continue;
        }
        places.extend(paths.into_iter().map(|located| CgroupPlace {
            dir: hierarchy.directory(located),
            top: hierarchy.dir.clone(),
            path: hierarchy.display(located),
            controllers: hierarchy.controllers.clone(),
        }));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(paths: &[(usize, &str)]) -> Area {
        Area { paths: paths.iter().map(|(place, path)| (*place, (*path).to_owned())).collect() }
    }

    #[test]
    fn the_deeper_of_two_areas_remains() {
        let pod = area(&[(0, "/pods/a"), (1, "/x/pods/a")]);
        let container = area(&[(1, "/x/pods/a/c")]);
        assert_eq!(pod.intersect(&container), Some(container.clone()));
        assert_eq!(container.intersect(&pod), Some(container.clone()));
        assert_eq!(container.intersect(&area(&[(1, "/x/pods/b")])), None);
        assert_eq!(container.intersect(&area(&[(0, "/x/pods/a/c")])), None);
    }

    #[test]
    fn members_are_below_at_a_component() {
        let task = Task { cgroups: vec![(0, "/pods/ab".into())], ..Task::default() };
        assert!(area(&[(0, "/pods")]).holds(&task));
        assert!(area(&[(0, "/")]).holds(&task));
        assert!(!area(&[(0, "/pods/a")]).holds(&task));
        assert!(!area(&[(1, "/pods")]).holds(&task));
    }
}
