//! The container that a process or a cgroup belongs to, while recording.
//!
//! In: a pid, or a cgroup id from the kernel. Out: container and cgroup path. Cached by cgroup, never
//! by pid: pids are reused, and a process's cgroup takes one read of procfs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::hierarchy::Hierarchy;
use super::host::Host;
use super::runtime::Records;
use super::shape;
use super::survey::{Survey, around, holder, short};

/// Walking all cgroups may take one part of the time in this many, and no walk follows the last sooner
/// than this.
const WALK_SHARE: u32 = 50;
const WALK_EVERY: Duration = Duration::from_millis(20);
/// A name that is not certain is looked up again after this, so often; then after twice that, up to the last.
const LOOKS: u32 = 16;
const FIRST_DOUBT: Duration = Duration::from_millis(15);
const LAST_DOUBT: Duration = Duration::from_secs(7);
/// More cgroups than this are not remembered.
const MAX_CACHED: usize = 1 << 16;

/// The container (empty: none) and cgroup of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its name, `pod/name` in a pod; raw, clean it before it reaches a terminal.
    pub container: String,
    /// The cgroup's path in the hierarchy that tells most.
    pub cgroup: String,
    /// Whether the name will stay: a container that is being made has only its id, or looks like none.
    pub certain: bool,
}

/// Owners by cgroup.
#[derive(Debug)]
pub struct Owners {
    host: Host,
    runtimes: Records,
    by_path: HashMap<(usize, String), Known>,
    /// The hierarchy whose ids the kernel side reports.
    reported: Option<usize>,
    by_id: HashMap<u64, String>,
    surveyed: bool,
    next_walk: Option<Instant>,
}

impl Owners {
    /// Nothing known yet; cgroup ids are those of cgroup2.
    pub fn new(host: Host) -> Self {
        let reported = host.hierarchies().iter().position(Hierarchy::is_v2);
        let (by_path, by_id) = (HashMap::new(), HashMap::new());
        let runtimes = Records::of(&host, &host.tasks());
        Self { host, runtimes, by_path, reported, by_id, surveyed: false, next_walk: None }
    }

    /// The same with cgroup ids of a v1 controller's hierarchy.
    #[must_use]
    pub fn by_controller(mut self, controller: &str) -> Self {
        let has = |own: &Hierarchy| own.controllers.iter().any(|name| name == controller);
        self.reported = self.host.hierarchies().iter().position(has);
        self
    }

    /// The owner of a process or thread; `None` when it is gone.
    pub fn owner_of_pid(&mut self, pid: u32) -> Option<Owner> {
        let cgroups = self.host.cgroups(pid)?;
        Some(self.owner_of(&cgroups))
    }

    /// The owner of a process that the kernel side saw in a cgroup; `None` when neither is there any more.
    pub fn owner(&mut self, pid: u32, cgroup: u64) -> Option<Owner> {
        let Some(cgroups) = self.host.cgroups(pid) else { return self.owner_of_cgroup(cgroup) };
        // The next process of this cgroup may be gone when it is asked for.
        if !self.by_id.contains_key(&cgroup) {
            self.remember_id(&cgroups, cgroup);
        }
        Some(self.owner_of(&cgroups))
    }

    /// Finds the owner of a process that may die before anybody asks: then its cgroup is gone, or nobody in it tells whose
    /// it is. That looks at this cgroup only, and not at those of the whole machine.
    pub fn foresee(&mut self, pid: u32) {
        let Some(cgroups) = self.host.cgroups(pid) else { return };
        let owner = self.look_up(&cgroups);
        let last = |path: &str| path.rsplit('/').next().unwrap_or("").to_owned();
        let told = shape::telling(&cgroups).map(|(_, path)| last(path)).unwrap_or_default();
        let Some(key) = cgroups.into_iter().find(|(place, _)| Some(*place) == self.reported) else { return };
        let directory = self.host.hierarchies().get(key.0).map(|hierarchy| hierarchy.directory(&key.1));
        let Some(id) = directory.and_then(|directory| super::hierarchy::inode(&directory)) else { return };
        if self.by_id.len() >= MAX_CACHED || self.by_path.len() >= MAX_CACHED {
            return;
        }
        self.by_id.insert(id, key.1.clone());
        // By its id it is asked for in this hierarchy alone, where its path may be longer; one of another name may be shared.
        if !told.is_empty() && last(&key.1) == told {
            self.by_path.entry(key).or_insert_with(|| Known { owner, doubt: Doubt::after(None) });
        }
    }

    /// Remembers where an id is, unless the process has moved since it was seen there.
    fn remember_id(&mut self, cgroups: &[(usize, String)], id: u64) {
        let Some((place, path)) = cgroups.iter().find(|(place, _)| Some(*place) == self.reported) else {
            return;
        };
        let is = |own: &Hierarchy| super::hierarchy::inode(&own.directory(path)) == Some(id);
        if self.host.hierarchies().get(*place).is_some_and(is) && self.by_id.len() < MAX_CACHED {
            self.by_id.insert(id, path.clone());
        }
    }

    /// The owner of a cgroup by its id; `None` when no such cgroup exists (any more).
    pub fn owner_of_cgroup(&mut self, id: u64) -> Option<Owner> {
        if !self.by_id.contains_key(&id) && self.next_walk.is_none_or(|next| Instant::now() >= next) {
            let start = Instant::now();
            self.learn_ids();
            self.next_walk = Some(Instant::now() + WALK_EVERY.max(start.elapsed() * WALK_SHARE));
        }
        let path = self.by_id.get(&id)?.clone();
        // What a process of it told, through whatever hierarchy it is told apart by, beats looking at what is left.
        let places = 0..self.host.hierarchies().len();
        let mut known = places.filter_map(|place| self.by_path.get(&(place, path.clone())));
        if let Some(known) = known.find(|known| known.owner.certain && !known.owner.container.is_empty()) {
            return Some(known.owner.clone());
        }
        Some(self.owner_of_path(&(self.reported?, path)))
    }

    /// The owner of a cgroup whose processes may all have died: the name that they told stays.
    fn owner_of_path(&mut self, key: &(usize, String)) -> Owner {
        let before = self.by_path.get(key).map(|known| known.owner.container.clone()).unwrap_or_default();
        let owner = self.owner_of(std::slice::from_ref(key));
        match self.by_path.get_mut(key) {
            Some(known) if owner.container.is_empty() => {
                known.owner.container = before;
                known.owner.clone()
            }
            _ => owner,
        }
    }

    fn learn_ids(&mut self) {
        let Some(hierarchy) = self.reported.and_then(|place| self.host.hierarchies().get(place)) else {
            return;
        };
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
        if shape::telling(paths).is_some() {
            self.survey_once();
        }
        self.look_up(paths)
    }

    /// The owner as it is remembered, or as its own cgroup tells it now.
    fn look_up(&mut self, paths: &[(usize, String)]) -> Owner {
        let Some(key) = shape::telling(paths).cloned() else { return Owner::default() };
        let doubt = match self.by_path.get(&key) {
            Some(Known { owner, doubt }) if doubt.as_ref().is_none_or(|doubt| !doubt.is_due()) => {
                return owner.clone();
            }
            known => known.and_then(|known| known.doubt),
        };
        let cgroup = self.host.hierarchies().get(key.0).map_or_else(String::new, |own| own.display(&key.1));
        let (container, certain) = if key.1 == "/" { (String::new(), true) } else { self.name(paths) };
        let owner = Owner { container, cgroup, certain };
        if self.by_path.len() >= MAX_CACHED {
            self.by_path.clear();
        }
        let doubt = if certain { None } else { Doubt::after(doubt) };
        self.by_path.insert(key, Known { owner: owner.clone(), doubt });
        owner
    }

    /// Answers the first question before it is asked: who dies then is named.
    pub fn prime(&mut self) {
        self.survey_once();
    }

    /// The first question is answered for all cgroups at once.
    fn survey_once(&mut self) {
        if std::mem::replace(&mut self.surveyed, true) {
            return;
        }
        let survey = Survey::take(&self.host);
        for task in &survey.tasks {
            let Some(key) = shape::telling(&task.cgroups).filter(|(_, path)| path != "/") else { continue };
            let Some(hierarchy) = self.host.hierarchies().get(key.0) else { continue };
            let container =
                holder(&survey.containers, &task.cgroups).map(|own| own.label()).unwrap_or_default();
            let owner = Owner { container, cgroup: hierarchy.display(&key.1), certain: true };
            self.by_path.insert(key.clone(), Known { owner, doubt: None });
        }
    }

    /// The container of a cgroup that is new, and whether that will not change: a container that is just
    /// being made has no name yet, or looks like none at all.
    fn name(&self, paths: &[(usize, String)]) -> (String, bool) {
        let found = around(&self.host, &self.runtimes, paths);
        let shaped = shape::innermost(paths).map(|(_, shape, _)| shape);
        match (holder(&found, paths), shaped) {
            (Some(container), _) => (container.label(), container.name != short(&container.id)),
            (None, Some(shape)) => (short(&shape.id).to_owned(), false),
            (None, None) => (String::new(), false),
        }
    }
}

/// What is remembered of a cgroup.
#[derive(Clone, Debug)]
struct Known {
    owner: Owner,
    doubt: Option<Doubt>,
}

/// When to look again, and how often that was put off.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Instant,
    wait: Duration,
    looks: u32,
}

impl Doubt {
    /// The next doubt, after a while twice as patient; none when it has lasted long enough.
    fn after(last: Option<Self>) -> Option<Self> {
        let looks = last.map_or(1, |last| last.looks + 1);
        let wait = last.map_or(FIRST_DOUBT, |last| if looks > LOOKS { last.wait * 2 } else { last.wait });
        (wait <= LAST_DOUBT).then(|| Self { since: Instant::now(), wait, looks })
    }

    fn is_due(&self) -> bool {
        self.since.elapsed() >= self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_foreseen_stays_when_nobody_tells_it_any_more() {
        let host = Host::discover().unwrap();
        let mut owners = Owners::new(host);
        owners.foresee(std::process::id());
        let Some((id, path)) = owners.by_id.iter().next().map(|(id, path)| (*id, path.clone())) else {
            eprintln!("SKIPPED: no cgroup2 here");
            return;
        };
        let key = (owners.reported.unwrap(), path);
        let due = Doubt { since: Instant::now(), wait: Duration::ZERO, looks: 1 };
        let owner = Owner { container: "web".into(), ..Owner::default() };
        // Nobody is there, and its path tells nothing.
        let gone = (key.0, "/prof-nobody".to_owned());
        owners.by_path.insert(gone.clone(), Known { owner, doubt: Some(due) });
        owners.by_id.insert(id, gone.1.clone());
        assert_eq!(owners.owner_of_cgroup(id).unwrap().container, "web");
        assert!(owners.by_path[&gone].doubt.unwrap().looks > 1, "it was looked up again");
    }
}
