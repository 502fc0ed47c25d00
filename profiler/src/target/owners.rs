//! Whose a process or a cgroup is, while recording.
//!
//! In: a pid, or a cgroup2 id from the kernel. Out: container and cgroup path. Cached by cgroup, never
//! by pid: pids are reused, and one procfs read tells a process's cgroup.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::host::Host;
use super::shape;
use super::survey::{Survey, holder, short};
use super::task;

/// A look at all processes or all cgroups happens at most this often.
const SURVEY_EVERY: Duration = Duration::from_millis(500);
/// More cgroups than this are not remembered.
const MAX_CACHED: usize = 1 << 16;

/// The container (empty: none) and cgroup of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its name, `pod/name` in a pod; raw, clean it before it reaches a terminal.
    pub container: String,
    /// The cgroup's path in the hierarchy that tells most.
    pub cgroup: String,
}

/// Owners by cgroup.
#[derive(Debug)]
pub struct Owners {
    host: Host,
    by_path: HashMap<(usize, String), Owner>,
    by_id: HashMap<u64, String>,
    surveyed: Option<Instant>,
    walked: Option<Instant>,
}

impl Owners {
    /// Nothing known yet.
    pub fn new(host: Host) -> Self {
        Self { host, by_path: HashMap::new(), by_id: HashMap::new(), surveyed: None, walked: None }
    }

    /// The owner of a process or thread; `None` when it is gone.
    pub fn owner_of_pid(&mut self, pid: u32) -> Option<Owner> {
        let cgroups = task::cgroups(&self.host, pid)?;
        Some(self.owner_of(&cgroups))
    }

    /// The owner of a cgroup2 id; `None` when no such cgroup exists (any more).
    pub fn owner_of_cgroup(&mut self, v2_id: u64) -> Option<Owner> {
        if !self.by_id.contains_key(&v2_id) && due(&mut self.walked) {
            self.learn_ids();
        }
        let path = self.by_id.get(&v2_id)?.clone();
        let place = self.v2()?;
        Some(self.owner_of(&[(place, path)]))
    }

    fn v2(&self) -> Option<usize> {
        self.host.hierarchies().iter().position(super::hierarchy::Hierarchy::is_v2)
    }

    fn learn_ids(&mut self) {
        let Some(hierarchy) = self.v2().and_then(|place| self.host.hierarchies().get(place)) else { return };
        let mut by_id = std::mem::take(&mut self.by_id);
        if by_id.len() > MAX_CACHED {
            by_id.clear();
        }
        hierarchy.walk("/", |located, inode| {
            by_id.insert(inode, located.to_owned());
            by_id.len() <= 2 * MAX_CACHED
        });
        self.by_id = by_id;
    }

    fn owner_of(&mut self, paths: &[(usize, String)]) -> Owner {
        let telling = paths.iter().find(|(_, path)| path != "/").or(paths.first());
        let Some(key) = telling.cloned() else { return Owner::default() };
        if let Some(owner) = self.by_path.get(&key) {
            return owner.clone();
        }
        let cgroup = self.host.hierarchies().get(key.0).map_or_else(String::new, |own| own.display(&key.1));
        if key.1 != "/" && !due(&mut self.surveyed) {
            // Asked again later, it may get its name.
            let shaped = paths.iter().find_map(|(_, path)| shape::container_in(path));
            return Owner {
                container: shaped.map(|shape| short(&shape.id).to_owned()).unwrap_or_default(),
                cgroup,
            };
        }
        let container = if key.1 == "/" { String::new() } else { self.survey(paths) };
        let owner = Owner { container, cgroup };
        if self.by_path.len() >= MAX_CACHED {
            self.by_path.clear();
        }
        self.by_path.insert(key, owner.clone());
        owner
    }

    /// Names the container of `paths`, and remembers every container seen on the way.
    fn survey(&mut self, paths: &[(usize, String)]) -> String {
        let survey = Survey::take(&self.host);
        for task in &survey.tasks {
            let Some(key) = task.cgroups.iter().find(|(_, path)| path != "/") else { continue };
            let Some(hierarchy) = self.host.hierarchies().get(key.0) else { continue };
            let container =
                holder(&survey.containers, &task.cgroups).map(|own| own.label()).unwrap_or_default();
            let owner = Owner { container, cgroup: hierarchy.display(&key.1) };
            self.by_path.insert(key.clone(), owner);
        }
        let shaped = || {
            paths
                .iter()
                .find_map(|(_, path)| shape::container_in(path))
                .map(|shape| short(&shape.id).to_owned())
        };
        holder(&survey.containers, paths).map(|own| own.label()).or_else(shaped).unwrap_or_default()
    }
}

/// True, and the clock restarts, when the last time is long enough ago.
fn due(last: &mut Option<Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= SURVEY_EVERY);
    if due {
        *last = Some(Instant::now());
    }
    due
}
