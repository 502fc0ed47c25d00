//! All containers of the host at one moment.
//!
//! In: every process with its cgroups. Out: containers with their processes, names and cgroups.
//! A process belongs to a container by the shape of its cgroup path, by a runtime's record of that
//! cgroup, or by having a pid namespace and a cgroup that nothing outside shares.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::area::Area;
use super::hierarchy::below;
use super::host::Host;
use super::names::{self, Names};
use super::read;
use super::shape;
use super::state::{self, Record};
use super::task::Task;

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
    /// `name`, or `pod/name` in a pod.
    pub fn label(&self) -> String {
        if self.pod.is_empty() { self.name.clone() } else { format!("{}/{}", self.pod, self.name) }
    }
}

/// Processes and containers at one moment.
pub(super) struct Survey {
    pub tasks: Vec<Task>,
    pub containers: Vec<Container>,
}

/// Where a process belongs.
struct Place {
    runtime: &'static str,
    id: String,
    pod_uid: String,
    area: Area,
    /// The shim, where that is all that tells containers apart.
    shim: u32,
}

/// Processes with the same cgroup, or else the same shim, are one container.
type GroupKey = (Option<(usize, String)>, u32);

/// What deciding about one process needs of all others.
struct Crowd<'a> {
    host: &'a Host,
    by_pid: HashMap<u32, &'a Task>,
    records: Vec<Record>,
    /// Cgroups (and their ancestors) that hold processes of our own pid namespace.
    outside: HashSet<(usize, &'a str)>,
}

impl Survey {
    /// Looks at every process once.
    pub(super) fn take(host: &Host) -> Self {
        let tasks = host.tasks();
        let containers = containers(host, &tasks);
        Self { tasks, containers }
    }
}

/// The containers among the processes of one cgroup: what a survey tells of it, at the price of that
/// cgroup's own processes and their ancestors.
pub(super) fn around(host: &Host, paths: &[(usize, String)]) -> Vec<Container> {
    let shaped = paths.iter().find_map(|(place, path)| Some((*place, shape::container_in(path)?.dir)));
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
    containers(host, &tasks.into_values().collect::<Vec<_>>())
}

fn containers(host: &Host, tasks: &[Task]) -> Vec<Container> {
    let crowd = Crowd::new(host, tasks);
    let mut groups: BTreeMap<GroupKey, (Place, Vec<u32>)> = BTreeMap::new();
    for task in tasks {
        let Some(place) = crowd.place(task) else { continue };
        let key = (place.area.paths.first().cloned(), place.shim);
        groups.entry(key).or_insert_with(|| (place, Vec::new())).1.push(task.pid);
    }
    let mut all: Vec<Container> =
        groups.into_values().map(|(place, pids)| crowd.container(place, pids)).collect();
    all.sort_by(|a, b| (&a.namespace, &a.pod, &a.name, &a.id).cmp(&(&b.namespace, &b.pod, &b.name, &b.id)));
    all
}

impl<'a> Crowd<'a> {
    fn new(host: &'a Host, tasks: &'a [Task]) -> Self {
        let mut outside = HashSet::new();
        for (place, path) in tasks.iter().filter(|task| task.namespaces == 1).flat_map(|task| &task.cgroups) {
            let borders = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
            outside.extend(borders.filter_map(|end| Some((*place, path.get(..end)?))));
        }
        let by_pid = tasks.iter().map(|task| (task.pid, task)).collect();
        Self { host, by_pid, records: state::records(host), outside }
    }

    fn place(&self, task: &Task) -> Option<Place> {
        by_shape(task).or_else(|| self.by_record(task)).or_else(|| self.by_namespace(task))
    }

    fn by_record(&self, task: &Task) -> Option<Place> {
        let record = self.records.iter().find(|record| record.area.holds(task))?;
        Some(Place {
            runtime: record.runtime,
            id: record.name.clone(),
            pod_uid: String::new(),
            area: record.area.clone(),
            shim: 0,
        })
    }

    fn by_namespace(&self, task: &Task) -> Option<Place> {
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
            return Some(Place { runtime: "", id: id.to_owned(), pod_uid: String::new(), area, shim: 0 });
        }
        let shim = ancestors.iter().find(|task| task.namespaces == 1)?;
        let place =
            Place { runtime: "nspawn", id: String::new(), pod_uid: String::new(), area, shim: shim.pid };
        (shim.comm == "systemd-nspawn" && shim.uid == 0).then_some(place)
    }

    fn ancestors(&self, task: &Task) -> Vec<&'a Task> {
        let parent = |task: &&'a Task| self.by_pid.get(&task.parent).copied();
        std::iter::successors(self.by_pid.get(&task.parent).copied(), parent).take(MAX_ANCESTORS).collect()
    }

    fn container(&self, place: Place, pids: Vec<u32>) -> Container {
        let member = |pid: &u32| pids.binary_search(pid).is_ok();
        let tasks = || pids.iter().filter_map(|pid| self.by_pid.get(pid).copied());
        let outermost = tasks().find(|task| !member(&task.parent));
        let mut names = Names::default();
        if let Some(outermost) = outermost {
            let outside: Vec<&Task> =
                self.ancestors(outermost).into_iter().skip_while(|task| place.area.holds(task)).collect();
            names = names::find(self.host, &place.id, outermost.pid, &outside);
        }
        let own = Names { runtime: place.runtime.to_owned(), id: place.id, ..Names::default() };
        names.fill(own);
        names.fill(Names {
            runtime: "unknown".into(),
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
            id: names.id,
            image: names.image,
            pod: names.pod,
            namespace: names.namespace,
            pod_uid: place.pod_uid,
            unit,
            pids,
            cgroups: cgroups.collect(),
            area: place.area,
        }
    }
}

/// The innermost container in the process's paths, with its cgroup in each hierarchy that names it.
fn by_shape(task: &Task) -> Option<Place> {
    let mut found: Option<Place> = None;
    for (hierarchy, path) in &task.cgroups {
        let Some(shape) = shape::container_in(path) else { continue };
        let place = found.get_or_insert_with(|| Place {
            runtime: shape.runtime,
            id: shape.id.clone(),
            pod_uid: shape.pod_uid.clone(),
            area: Area::default(),
            shim: 0,
        });
        if place.id == shape.id {
            place.area.paths.push((*hierarchy, shape.dir.to_owned()));
        }
    }
    found
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
