//! Whose a process or a cgroup is, while recording.
//!
//! In: a pid, or a cgroup2 id from the kernel. Out: container and cgroup path. Cached by cgroup, never
//! by pid: pids are reused, and one procfs read tells a process's cgroup.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::host::Host;
use super::shape;
use super::survey::{Survey, around, holder, short};
use super::task;

/// All cgroups are walked at most this often.
const WALK_EVERY: Duration = Duration::from_millis(500);
/// A name that is not certain is looked up again after this, then after twice that, up to the last.
const FIRST_DOUBT: Duration = Duration::from_millis(100);
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
}

/// Owners by cgroup.
#[derive(Debug)]
pub struct Owners {
    host: Host,
    by_path: HashMap<(usize, String), Known>,
    by_id: HashMap<u64, String>,
    surveyed: bool,
    walked: Option<Instant>,
}

impl Owners {
    /// Nothing known yet.
    pub fn new(host: Host) -> Self {
        Self { host, by_path: HashMap::new(), by_id: HashMap::new(), surveyed: false, walked: None }
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
        self.survey_once();
        let doubt = match self.by_path.get(&key) {
            Some(Known { owner, doubt }) if doubt.as_ref().is_none_or(|doubt| !doubt.is_due()) => {
                return owner.clone();
            }
            known => known.and_then(|known| known.doubt),
        };
        let cgroup = self.host.hierarchies().get(key.0).map_or_else(String::new, |own| own.display(&key.1));
        let (container, certain) = if key.1 == "/" { (String::new(), true) } else { self.name(paths) };
        let owner = Owner { container, cgroup };
        if self.by_path.len() >= MAX_CACHED {
            self.by_path.clear();
        }
        let doubt = if certain { None } else { Doubt::after(doubt) };
        self.by_path.insert(key, Known { owner: owner.clone(), doubt });
        owner
    }

    /// The first question is answered for all cgroups at once.
    fn survey_once(&mut self) {
        if std::mem::replace(&mut self.surveyed, true) {
            return;
        }
        let survey = Survey::take(&self.host);
        for task in &survey.tasks {
            let Some(key) = task.cgroups.iter().find(|(_, path)| path != "/") else { continue };
            let Some(hierarchy) = self.host.hierarchies().get(key.0) else { continue };
            let container =
                holder(&survey.containers, &task.cgroups).map(|own| own.label()).unwrap_or_default();
            let owner = Owner { container, cgroup: hierarchy.display(&key.1) };
            self.by_path.insert(key.clone(), Known { owner, doubt: None });
        }
    }

    /// The container of a cgroup that is new, and whether that will not change: a container that is just
    /// being made has no name yet, or looks like none at all.
    fn name(&self, paths: &[(usize, String)]) -> (String, bool) {
        let found = around(&self.host, paths);
        let shaped = paths.iter().find_map(|(_, path)| shape::container_in(path));
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
}

impl Doubt {
    /// The next doubt, twice as patient; none when it has lasted long enough.
    fn after(last: Option<Self>) -> Option<Self> {
        let wait = last.map_or(FIRST_DOUBT, |last| last.wait * 2);
        (wait <= LAST_DOUBT).then(|| Self { since: Instant::now(), wait })
    }

    fn is_due(&self) -> bool {
        self.since.elapsed() >= self.wait
    }
}

/// True, and the clock restarts, when the last time is long enough ago.
fn due(last: &mut Option<Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= WALK_EVERY);
    if due {
        *last = Some(Instant::now());
    }
    due
}
