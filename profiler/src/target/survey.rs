//! All containers of the host at one moment.
//!
//! In: every process with its cgroups. Out: containers with their processes, names and cgroups.
//! A process belongs to a container by the shape of its cgroup path, by a runtime's record of that
//! cgroup, or because no process outside shares its pid namespace and its cgroup.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::area::Area;
use super::hierarchy::below;
use super::host::Host;
use super::names::Names;
use super::nested;
use super::read;
use super::runtime::{self, Records, Unnamed};
use super::shape;
use super::state::{self, Record};
use super::task::Task;

/// Before the number of the user who made a container; no runtime allows `:` in a name.
const USERS: &str = "user:";
/// Longest chain of ancestors that is followed.
const MAX_ANCESTORS: usize = 64;
/// Most processes looked at to name one container.
const MAX_AROUND: usize = 1024;

/// A container as `profiler targets` shows it. Strings come from the container's owner: clean them
/// before they reach a terminal.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Container {
    /// `docker`, `containerd`, `cri-o`, `podman`, `lxc`, `nspawn`, `runc`, `crun`, `machine`, or `unknown`.
    pub runtime: String,
    /// Its name, else its id.
    pub name: String,
    /// Other names that its runtime has for it.
    pub other_names: Vec<String>,
    /// Its id: 64 hex digits, or the name where the runtime has no other id.
    pub id: String,
    /// Its image; empty when not recorded.
    pub image: String,
    /// Kubernetes pod name; empty outside a pod.
    pub pod: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's uid, from the cgroup path.
    pub pod_uid: String,
    /// What the container is called that it runs in, or `user:UID` of the user other than root who made it: both are believed
    /// about what is theirs only. Empty of root's on the host.
    pub outer: String,
    /// The systemd unit it runs in, if any.
    pub unit: String,
    /// Its processes now.
    pub pids: Vec<u32>,
    /// Its cgroups: controller (empty for cgroup2) and path.
    pub cgroups: Vec<(String, String)>,
    #[serde(skip)]
    pub(super) area: Area,
}

impl Container {
    /// `name`, or `pod/name` in a pod; with the container's it runs in before it.
    pub fn label(&self) -> String {
        let own = if self.pod.is_empty() { self.name.clone() } else { format!("{}/{}", self.pod, self.name) };
        self.inside(own)
    }

    /// Its pod as users name it: `namespace/pod`, the uid where there is no name.
    pub(super) fn pod_name(&self) -> String {
        self.inside(match (self.pod.as_str(), self.namespace.as_str()) {
            ("", _) => self.pod_uid.clone(),
            (pod, "") => pod.to_owned(),
            (pod, namespace) => format!("{namespace}/{pod}"),
        })
    }

    /// Whether a user other than root made it, on the host.
    pub(super) fn is_users(&self) -> bool {
        self.outer.starts_with(USERS)
    }

    /// A name that its own runtime gave.
    pub(super) fn inside(&self, name: String) -> String {
        if self.outer.is_empty() { name } else { format!("{}/{name}", self.outer) }
    }
}

/// Processes and containers at one moment.
pub(super) struct Survey {
    pub tasks: Vec<Task>,
    pub containers: Vec<Container>,
}

/// Where a process belongs.
struct Membership {
    runtime: &'static str,
    id: String,
    pod_uid: String,
    area: Area,
    /// The shim, where that is all that tells containers apart.
    shim: u32,
    /// The cgroup and id of the container around it.
    outer: Option<(usize, String, String)>,
}

/// Processes with the same cgroup, or else the same shim, are one container.
type GroupKey = (Option<(usize, String)>, u32);

/// What deciding about one process needs of all others.
struct Crowd<'a> {
    host: &'a Host,
    by_pid: HashMap<u32, &'a Task>,
    records: Vec<Record>,
    runtimes: &'a Records,
    /// Cgroups (and their ancestors) that hold processes of our own pid namespace.
    outside: HashSet<(usize, &'a str)>,
}

impl Survey {
    /// Looks at every process once.
    pub(super) fn take(host: &Host) -> Self {
        let tasks = host.tasks();
        let containers = containers(host, &tasks, &Records::of(host, &tasks));
        Self { tasks, containers }
    }
}

/// The containers among the processes of one cgroup: what a survey tells of it, at the price of that
/// cgroup's own processes and their ancestors.
pub(super) fn around(host: &Host, runtimes: &Records, paths: &[(usize, String)]) -> Vec<Container> {
    let shaped = shape::innermost(paths).map(|(place, shape, _)| (place, shape.dir));
    let plain = || paths.iter().find(|(_, path)| path != "/").map(|(place, path)| (*place, path.as_str()));
    let Some((place, dir)) = shaped.or_else(plain) else { return Vec::new() };
    let Some(hierarchy) = host.hierarchies().get(place) else { return Vec::new() };
    let mut open: Vec<u32> = Vec::new();
    hierarchy.walk(dir, |located, _| {
        let procs = read::procfs(hierarchy.directory(located).join("cgroup.procs")).unwrap_or_default();
        open.extend(procs.lines().filter_map(|pid| pid.parse::<u32>().ok()));
        open.len() < MAX_AROUND
    });
    open.truncate(MAX_AROUND);
    let mut tasks: BTreeMap<u32, Task> = BTreeMap::new();
    while let Some(pid) = open.pop() {
        if pid == 0 || tasks.contains_key(&pid) || tasks.len() > 2 * MAX_AROUND {
            continue;
        }
        if let Some(task) = Task::read(host, pid) {
            open.push(task.parent);
            tasks.insert(pid, task);
        }
    }
    containers(host, &tasks.into_values().collect::<Vec<_>>(), runtimes)
}

fn containers(host: &Host, tasks: &[Task], runtimes: &Records) -> Vec<Container> {
    let crowd = Crowd::new(host, tasks, runtimes);
    let mut groups: BTreeMap<GroupKey, (Membership, Vec<u32>)> = BTreeMap::new();
    for task in tasks {
        let Some(place) = crowd.place(task) else { continue };
        let key = (place.area.paths.first().cloned(), place.shim);
        groups.entry(key).or_insert_with(|| (place, Vec::new())).1.push(task.pid);
    }
    // The outermost first: who is inside is called after them.
    let mut groups: Vec<(Membership, Vec<u32>)> = groups.into_values().collect();
    groups.sort_by_key(|(place, _)| {
        place.area.paths.iter().map(|(_, path)| shape::containers_in(path).len()).max()
    });
    let mut all: Vec<Container> = Vec::new();
    for (place, pids) in groups {
        let around = place.outer.as_ref().map(|outer| around_it(&all, outer));
        let container = crowd.container(place, pids);
        let outer = around.unwrap_or_else(|| container.outer.clone());
        all.push(Container { outer, ..container });
    }
    all.sort_by(|a, b| {
        let key = |own: &'_ Container| {
            (own.outer.clone(), own.namespace.clone(), own.pod.clone(), own.name.clone(), own.id.clone())
        };
        key(a).cmp(&key(b))
    });
    all
}

/// What the container around another is called.
fn around_it(all: &[Container], (place, dir, id): &(usize, String, String)) -> String {
    let is = |own: &&Container| own.area.paths.iter().any(|(at, path)| at == place && path == dir);
    all.iter().find(is).map_or_else(|| short(id).to_owned(), Container::label)
}

impl<'a> Crowd<'a> {
    fn new(host: &'a Host, tasks: &'a [Task], runtimes: &'a Records) -> Self {
        let mut outside = HashSet::new();
        for (place, path) in tasks.iter().filter(|task| task.namespaces == 1).flat_map(|task| &task.cgroups) {
            let borders = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
            outside.extend(borders.filter_map(|end| Some((*place, path.get(..end)?))));
        }
        let by_pid = tasks.iter().map(|task| (task.pid, task)).collect();
        Self { host, by_pid, records: state::records(host), runtimes, outside }
    }

    fn place(&self, task: &Task) -> Option<Membership> {
        by_shape(task).or_else(|| self.by_record(task)).or_else(|| self.by_namespace(task))
    }

    fn by_record(&self, task: &Task) -> Option<Membership> {
        let record = self.records.iter().find(|record| record.area.holds(task))?;
        Some(Membership {
            runtime: record.runtime,
            id: record.name.clone(),
            pod_uid: String::new(),
            area: record.area.clone(),
            shim: 0,
            outer: None,
        })
    }

    fn by_namespace(&self, task: &Task) -> Option<Membership> {
        if task.namespaces < 2 {
            return None;
        }
        let ancestors = self.ancestors(task);
        let inside = ancestors.iter().take_while(|task| task.namespaces > 1).last();
        let outermost = inside.copied().unwrap_or(task);
        let mut area = Area::default();
        let mut id = "";
        for (place, path) in &outermost.cgroups {
            let last = path.rsplit('/').next().unwrap_or("");
            let shared = self.outside.contains(&(*place, path.as_str()));
            if !shared && !last.is_empty() && !shape::is_unit(last) && (id.is_empty() || id == last) {
                id = last;
                area.paths.push((*place, path.clone()));
            }
        }
        if !id.is_empty() {
            return Some(Membership {
                runtime: "",
                id: id.to_owned(),
                pod_uid: String::new(),
                area,
                shim: 0,
                outer: None,
            });
        }
        let shim = ancestors.iter().find(|task| task.namespaces == 1)?;
        let place = Membership {
            runtime: "nspawn",
            id: String::new(),
            pod_uid: String::new(),
            area,
            shim: shim.pid,
            outer: None,
        };
        (shim.comm == "systemd-nspawn" && shim.uid == 0).then_some(place)
    }

    fn ancestors(&self, task: &Task) -> Vec<&'a Task> {
        let parent = |task: &&'a Task| self.by_pid.get(&task.parent).copied();
        std::iter::successors(self.by_pid.get(&task.parent).copied(), parent).take(MAX_ANCESTORS).collect()
    }

    /// What its runtime calls a container.
    fn names(&self, place: &Membership, outermost: &Task, maker: u32) -> Names {
        let mut outside: Vec<&Task> =
            self.ancestors(outermost).into_iter().skip_while(|task| place.area.holds(task)).collect();
        if let Some((at, dir, _)) = &place.outer {
            // Its shim runs in the container around it; what is outside of that is not about it.
            let around = Area { paths: vec![(*at, dir.clone())] };
            outside.retain(|task| around.holds(task));
        }
        let of = Unnamed {
            id: &place.id,
            runtime: place.runtime,
            outermost: outermost.pid,
            ancestors: &outside,
            maker,
        };
        if place.outer.is_some() {
            nested::find(self.host, of)
        } else {
            runtime::find(self.host, self.runtimes, of)
        }
    }

    fn container(&self, place: Membership, pids: Vec<u32>) -> Container {
        let member = |pid: &u32| pids.binary_search(pid).is_ok();
        let tasks = || pids.iter().filter_map(|pid| self.by_pid.get(pid).copied());
        let outermost = tasks().find(|task| !member(&task.parent));
        let maker = place.area.maker(self.host);
        let mut names =
            outermost.map_or_else(Names::default, |outermost| self.names(&place, outermost, maker));
        let own = Names { runtime: place.runtime.to_owned(), id: place.id, ..Names::default() };
        names.fill(own);
        names.fill(Names {
            runtime: "unknown (no record)".into(),
            name: short(&names.id).to_owned(),
            ..Names::default()
        });
        let hierarchies = self.host.hierarchies();
        let cgroups = place.area.paths.iter().filter_map(|(index, path)| {
            let hierarchy = hierarchies.get(*index)?;
            Some((hierarchy.controllers.join(","), hierarchy.display(path)))
        });
        let unit =
            place.area.paths.iter().find_map(|(_, path)| shape::unit_in(path)).unwrap_or("").to_owned();
        Container {
            runtime: names.runtime,
            name: names.name,
            other_names: names.other,
            id: names.id,
            image: names.image,
            pod: names.pod,
            namespace: names.namespace,
            pod_uid: place.pod_uid,
            outer: if maker == 0 { String::new() } else { format!("{USERS}{maker}") },
            unit,
            pids,
            cgroups: cgroups.collect(),
            area: place.area,
        }
    }
}

/// The innermost container in the process's paths, with its cgroup in each hierarchy that names it.
fn by_shape(task: &Task) -> Option<Membership> {
    let (at, inner, outer) = shape::innermost(&task.cgroups)?;
    let named = task.cgroups.iter().filter_map(|(hierarchy, path)| {
        let shape = shape::container_in(path).filter(|shape| shape.id == inner.id)?;
        Some((*hierarchy, shape.dir.to_owned()))
    });
    Some(Membership {
        runtime: inner.runtime,
        area: Area { paths: named.collect() },
        outer: outer.map(|outer| (at, outer.dir.to_owned(), outer.id)),
        id: inner.id,
        pod_uid: inner.pod_uid,
        shim: 0,
    })
}

/// The first twelve characters of a hex id, as Docker shows them; names stay whole.
pub(super) fn short(id: &str) -> &str {
    let hex = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { id.get(..12).unwrap_or(id) } else { id }
}

/// The container that holds a cgroup, innermost first.
pub(super) fn holder<'a>(containers: &'a [Container], paths: &[(usize, String)]) -> Option<&'a Container> {
    let depth = |container: &Container| {
        let own = container.area.paths.iter();
        own.filter(|(place, dir)| {
            paths.iter().any(|(other, path)| place == other && below(path, dir).is_some())
        })
        .map(|(_, dir)| dir.len())
        .max()
    };
    containers
        .iter()
        .filter_map(|container| Some((depth(container)?, container)))
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, found)| found)
}
