//! What the target is called, so that its next instance is known when its cgroup is made.
//!
//! In: the selection, paths of new cgroups. Out: [`Seek`]s, one for each cgroup of the target, living or to
//! come; and a [`Finder`], which says of which of them a new cgroup is an instance.

use profiler_common::follow::{NO_ID, begins};

use super::area::{Area, CgroupFilter};
use super::hierarchy::below;
use super::host::Host;
use super::names::Names;
use super::runtime::{self, Records};
use super::select::{self, Part};
use super::survey::{Container, Survey, around, holder, short};
use super::{Selection, place, shape};
use crate::failure::Failure;

/// What the user named, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Container,
    Pod,
    Unit,
    /// A path, which stays the same.
    Path,
}

/// One cgroup of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seek {
    /// What users call it: `web`, `shop/cart`, `nginx.service`.
    pub name: String,
    /// Its path from the hierarchy's root; empty: not known before it is made.
    pub path: String,
    /// Its id and level in the kernel; [`NO_ID`]: there is none yet.
    pub identity: (u64, u32),
    /// When a new instance counts, see [`begins`].
    pub begins: u32,
    kind: Kind,
    want: String,
    /// It was named by its id, which never comes again.
    by_id: bool,
}

impl Seek {
    /// Its kind and name.
    pub fn label(&self) -> String {
        let kind = match self.kind {
            Kind::Container => "container",
            Kind::Pod => "pod",
            Kind::Unit => "unit",
            Kind::Path => "cgroup",
        };
        format!("{kind} {}", self.name)
    }

    /// Whether its next instance may come under another path.
    pub fn is_by_name(&self) -> bool {
        match self.kind {
            Kind::Container => !self.by_id,
            Kind::Pod => true,
            Kind::Unit => self.path.is_empty(),
            Kind::Path => false,
        }
    }
}

/// The things of one kind that were named, one by one.
struct Named<'s> {
    kind: Kind,
    wanted: &'s [String],
}

fn named(selection: &Selection) -> [Named<'_>; 4] {
    [
        Named { kind: Kind::Container, wanted: &selection.containers },
        Named { kind: Kind::Pod, wanted: &selection.pods },
        Named { kind: Kind::Path, wanted: &selection.cgroups },
        Named { kind: Kind::Unit, wanted: &selection.units },
    ]
}

fn part(host: &Host, survey: &Survey, kind: Kind, want: &str) -> Result<Part, Failure> {
    let wanted = [want.to_owned()];
    match kind {
        Kind::Container => select::containers(survey, &wanted),
        Kind::Pod => select::pods(survey, &wanted),
        Kind::Path => place::cgroups(host, survey, &wanted),
        Kind::Unit => place::units(host, &wanted),
    }
}

/// The seeks of a selection whose cgroups the kernel tells apart by `filters`, in that order.
pub(super) fn of(host: &Host, survey: &Survey, selection: &Selection, filters: &[CgroupFilter]) -> Vec<Seek> {
    let kinds: Vec<Named<'_>> =
        named(selection).into_iter().filter(|named| !named.wanted.is_empty()).collect();
    let mut seeks: Vec<Seek> = filters.iter().map(by_path).collect();
    // Of what lies in two kinds at once only the path is known.
    let [Named { kind, wanted }] = kinds.as_slice() else { return seeks };
    for want in *wanted {
        let Ok(part) = part(host, survey, *kind, want) else { continue };
        let name = part.label.first().map_or(want.as_str(), |label| label.as_str());
        let name = name.split_once(' ').map_or(name, |(_, name)| name);
        for filter in part.areas.iter().filter_map(|area| area.filter(host)) {
            let Some(at) = filters.iter().position(|known| *known == filter) else { continue };
            let Some(seek) = seeks.get_mut(at) else { continue };
            let kind = *kind;
            seek.begins = begins_at(kind, &seek.path);
            (seek.kind, seek.want, seek.name) = (kind, want.clone(), name.to_owned());
            seek.by_id = !survey.containers.iter().any(|own| select::is_named(own, want));
        }
    }
    seeks
}

fn by_path(filter: &CgroupFilter) -> Seek {
    let (CgroupFilter::V2 { id, level, path } | CgroupFilter::V1 { id, level, path, .. }) = filter;
    Seek {
        name: path.clone(),
        path: path.clone(),
        identity: (*id, *level),
        begins: begins_at(Kind::Path, path),
        kind: Kind::Path,
        want: path.clone(),
        by_id: false,
    }
}

/// Runtimes and systemd move a process of their own into the cgroup first, which then becomes the program.
fn begins_at(kind: Kind, path: &str) -> u32 {
    let last = path.rsplit('/').next().unwrap_or("");
    match kind {
        Kind::Container | Kind::Pod => begins::AT_EXEC_APART,
        Kind::Path if shape::container_in(path).is_some() || !shape::pod_uid(last).is_empty() => {
            begins::AT_EXEC_APART
        }
        Kind::Unit => begins::AT_EXEC,
        Kind::Path if shape::is_unit(last) => begins::AT_EXEC,
        Kind::Path => begins::AT_ONCE,
    }
}

/// Takes what does not exist yet out of a selection: what is left, and what is waited for.
///
/// # Errors
/// What was named cannot be waited for, or is ambiguous already.
pub(super) fn split(
    host: &Host,
    survey: &Survey,
    selection: &Selection,
) -> Result<(Selection, Vec<Seek>), Failure> {
    let mut left = selection.clone();
    let mut absent = Vec::new();
    for Named { kind, wanted } in named(selection) {
        let mut there = Vec::new();
        for want in wanted {
            if exists(host, survey, kind, want) {
                there.push(want.clone());
            } else {
                absent.push(awaited(host, kind, want));
            }
        }
        match kind {
            Kind::Container => left.containers = there,
            Kind::Pod => left.pods = there,
            Kind::Path => left.cgroups = there,
            Kind::Unit => left.units = there,
        }
    }
    let kinds = named(selection).iter().filter(|named| !named.wanted.is_empty()).count();
    if !absent.is_empty() && (kinds > 1 || !selection.pids.is_empty()) {
        let line = "--wait waits for containers, pods, units or cgroups, of one kind at a time, and beside --comm only";
        return Err(Failure::Usage(line.into()));
    }
    Ok((left, absent))
}

/// Ambiguous is there.
fn exists(host: &Host, survey: &Survey, kind: Kind, want: &str) -> bool {
    match kind {
        Kind::Container => survey.containers.iter().any(|own| select::is_container(own, want)),
        Kind::Pod => survey.containers.iter().any(|own| select::is_pod(own, want)),
        Kind::Path | Kind::Unit => part(host, survey, kind, want).is_ok(),
    }
}

fn awaited(host: &Host, kind: Kind, want: &str) -> Seek {
    let name = match kind {
        Kind::Unit if !shape::is_unit(want) => format!("{want}.service"),
        _ => want.to_owned(),
    };
    let path = if kind == Kind::Path { path_to_come(host, want) } else { String::new() };
    let begins = begins_at(kind, &path);
    Seek { want: name.clone(), name, path, identity: (NO_ID, 0), begins, kind, by_id: false }
}

/// The path from the hierarchy's root of a directory, or of a path, that is not there yet.
fn path_to_come(host: &Host, want: &str) -> String {
    let inside = host.hierarchies().iter().filter_map(|hierarchy| {
        let dir = hierarchy.dir.to_str()?;
        Some(hierarchy.display(below(want, dir).filter(|rest| !rest.is_empty())?))
    });
    // cgroup2 may be mounted below a v1 hierarchy's directory: the longest mount wins.
    let inside = inside.min_by_key(String::len);
    inside.unwrap_or_else(|| format!("/{}", want.trim_matches('/')))
}

/// The controller of the hierarchy that a directory, which is not there yet, lies in; none: cgroup2, or no directory.
pub fn controller_to_come(host: &Host, seeks: &[Seek]) -> Option<Option<String>> {
    let want = seeks.iter().find(|seek| seek.kind == Kind::Path).map(|seek| seek.want.as_str())?;
    let under = |dir: &std::path::Path| below(want, dir.to_str()?).filter(|rest| !rest.is_empty());
    let hierarchies = host.hierarchies().iter().filter(|own| under(&own.dir).is_some());
    let deepest = hierarchies.max_by_key(|own| own.dir.as_os_str().len())?;
    Some(deepest.controller().map(str::to_owned))
}

/// Whose instance a new cgroup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Not the target's.
    Nobodys,
    /// Its runtime has not described it yet.
    Unknown,
    /// An instance of the seek at this position: the cgroup's path, id and level.
    Of(usize, String, (u64, u32)),
}

/// Tells new cgroups apart by their names.
#[derive(Debug)]
pub struct Finder {
    host: Host,
    hierarchy: usize,
    records: Records,
}

impl Finder {
    /// For cgroups of a controller's hierarchy; none: cgroup2.
    pub fn new(host: Host, controller: Option<&str>) -> Self {
        let is = |own: &super::hierarchy::Hierarchy| match controller {
            None => own.is_v2(),
            Some(controller) => own.controllers.iter().any(|name| name == controller),
        };
        let hierarchy = host.hierarchies().iter().position(is).unwrap_or(0);
        let records = Records::of(&host, &host.tasks());
        Self { host, hierarchy, records }
    }

    /// Whose instance the new cgroup at `path` is.
    pub fn whose(&self, seeks: &[Seek], path: &str) -> Whose {
        let Some(hierarchy) = self.host.hierarchies().get(self.hierarchy) else { return Whose::Nobodys };
        let Some(located) = hierarchy.located(path) else { return Whose::Nobodys };
        let found = |at: usize, located: &str| match hierarchy.identity(located) {
            Some(identity) => Whose::Of(at, hierarchy.display(located), identity),
            None => Whose::Nobodys,
        };
        let (parent, last) = located.rsplit_once('/').unwrap_or(("", &located));
        let outside = shape::container_in(parent).is_none();
        let unit = |seek: &Seek| seek.kind == Kind::Unit && seek.is_by_name() && seek.want == last && outside;
        if let Some(at) = seeks.iter().position(unit) {
            return found(at, &located);
        }
        let shaped = shape::container_in(&located).filter(|shape| shape.dir == located);
        let Some(shape) = shaped else { return Whose::Nobodys };
        let Some(container) = self.container(&shape, &located) else { return Whose::Unknown };
        // What a user makes is no instance of root's, whatever it is called.
        let named = |seek: &Seek| match seek.kind {
            _ if container.is_users() && !seek.name.starts_with(&container.outer) => false,
            Kind::Container if seek.path.is_empty() => select::is_container(&container, &seek.want),
            Kind::Container => seek.is_by_name() && select::is_named(&container, &seek.want),
            Kind::Pod => select::is_pod(&container, &seek.want),
            Kind::Unit | Kind::Path => false,
        };
        match seeks.iter().position(named) {
            Some(at) if seeks.get(at).is_some_and(|seek| seek.kind == Kind::Pod) => {
                let pods = !shape::pod_uid(parent.rsplit('/').next().unwrap_or("")).is_empty();
                found(at, if pods { parent } else { &located })
            }
            Some(at) => found(at, &located),
            None => Whose::Nobodys,
        }
    }

    /// The container that a new cgroup is made for, as its runtime describes it; before there is a process in it, by
    /// its record.
    fn container(&self, shape: &shape::Shape<'_>, located: &str) -> Option<Container> {
        let of = |names: Names| Container {
            name: names.name,
            other_names: names.other,
            id: shape.id.clone(),
            pod: names.pod,
            namespace: names.namespace,
            pod_uid: shape.pod_uid.clone(),
            ..Container::default()
        };
        let paths = [(self.hierarchy, located.to_owned())];
        let roots = Area { paths: paths.to_vec() }.maker(&self.host) == 0;
        if let Some(names) = runtime::recorded(&self.records, shape).filter(|_| roots) {
            return Some(of(names));
        }
        let around = around(&self.host, &self.records, &paths);
        holder(&around, &paths).filter(|own| own.name != short(&own.id)).cloned()
    }

    /// Whether any process is in the cgroup at a path or below.
    pub fn is_populated(&self, path: &str) -> bool {
        let Some(hierarchy) = self.host.hierarchies().get(self.hierarchy) else { return false };
        let Some(located) = hierarchy.located(path) else { return false };
        let mut populated = false;
        hierarchy.walk(&located, |located, _| {
            let procs = super::read::procfs(hierarchy.directory(located).join("cgroup.procs"));
            populated |= procs.is_some_and(|procs| !procs.trim().is_empty());
            !populated
        });
        populated
    }

    /// The id and level of the cgroup at a path now.
    pub fn identity(&self, path: &str) -> Option<(u64, u32)> {
        let hierarchy = self.host.hierarchies().get(self.hierarchy)?;
        hierarchy.identity(&hierarchy.located(path)?)
    }
}

/// The kernel's number of a v1 controller's hierarchy; 0: cgroup2, or unknown.
pub fn hierarchy_number(controller: &str) -> u32 {
    let text = super::read::procfs("/proc/cgroups").unwrap_or_default();
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(controller));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seek(kind: Kind, want: &str, path: &str) -> Seek {
        let begins = begins_at(kind, path);
        let (name, path, want) = (want.into(), path.into(), want.into());
        Seek { name, path, identity: (NO_ID, 0), begins, kind, want, by_id: false }
    }

    #[test]
    fn a_runtime_is_not_counted_and_a_plain_cgroup_is_at_once() {
        let id = "b173c7ed6fde364ff45542730d3420358400f50b866e23d7f730ddf61b5a0f7d";
        let docker = format!("/docker/{id}");
        assert_eq!(seek(Kind::Container, "web", &docker).begins, begins::AT_EXEC_APART);
        assert_eq!(seek(Kind::Path, &docker, &docker).begins, begins::AT_EXEC_APART);
        assert_eq!(seek(Kind::Path, "/bench", "/bench").begins, begins::AT_ONCE);
        let unit = "/system.slice/web.service";
        assert_eq!(seek(Kind::Unit, "web.service", unit).begins, begins::AT_EXEC);
        assert_eq!(seek(Kind::Path, unit, unit).begins, begins::AT_EXEC);
    }

    #[test]
    fn an_id_never_comes_again_a_name_may() {
        assert!(seek(Kind::Container, "web", "/docker/x").is_by_name());
        let by_id = Seek { by_id: true, ..seek(Kind::Container, "b173c7", "/docker/x") };
        assert!(!by_id.is_by_name());
        assert!(!seek(Kind::Path, "/a", "/a").is_by_name());
        assert!(seek(Kind::Unit, "web.service", "").is_by_name());
        assert!(!seek(Kind::Unit, "web.service", "/system.slice/web.service").is_by_name());
    }

    #[test]
    fn a_directory_to_come_is_a_path_in_its_hierarchy() {
        let host = Host::discover().unwrap();
        let Some(hierarchy) = host.hierarchies().iter().find(|own| own.level == Some(0)) else {
            eprintln!("SKIPPED: no cgroup hierarchy is seen from its root here");
            return;
        };
        let want = hierarchy.dir.join("not-there/yet");
        assert_eq!(path_to_come(&host, want.to_str().unwrap()), "/not-there/yet");
        assert_eq!(path_to_come(&host, "not-there/yet/"), "/not-there/yet");
    }
}
