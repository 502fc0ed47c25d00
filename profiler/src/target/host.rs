//! The host as this process sees it: procfs, cgroup hierarchies, namespaces.
//!
//! In: `/proc/self`, and `/proc/1` when we are in a debug container of the host's pid namespace.
//! Out: [`Host`], which every other part of target resolution reads through.

use std::fs;
use std::path::{Path, PathBuf};

use super::hierarchy::{Hierarchy, inode};
use super::{read, shape};
use crate::failure::Failure;
use crate::machine::mounts::{self, Mount};

/// The kernel gives the first namespace of each kind a fixed inode.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";
const INITIAL_CGROUP_NAMESPACE: &str = "cgroup:[4026531835]";
/// Ways to the host's own files from a container that shares its pid namespace: init, and the kernel's
/// own thread for the case that init may not be looked at.
const INITS: [&str; 2] = ["/proc/1", "/proc/2"];

/// A view of the host.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    proc: PathBuf,
    hierarchies: Vec<Hierarchy>,
    mounts: Vec<Mount>,
    in_container: bool,
    initial_pids: bool,
}

impl Host {
    /// Looks around. Fails where procfs cannot be read at all.
    pub fn discover() -> Result<Self, Failure> {
        let text = read::procfs("/proc/self/mountinfo").ok_or_else(|| {
            Failure::Privilege("cannot read /proc/self/mountinfo: mount procfs at /proc".into())
        })?;
        let near = mounts::parse(&text);
        let far = INITS.into_iter().find_map(|init| far_side(init, &near));
        let initial = link("/proc/self/ns/cgroup") == INITIAL_CGROUP_NAMESPACE;
        let found = hierarchies(&near, far.as_ref(), initial);
        let in_container = far.is_some();
        let (root, mounts) = far.unwrap_or_else(|| ("/".to_owned(), near));
        let mut host = Self {
            root: PathBuf::from(root),
            proc: PathBuf::from("/proc"),
            hierarchies: found,
            mounts,
            in_container,
            initial_pids: link("/proc/self/ns/pid") == INITIAL_PID_NAMESPACE,
        };
        let own = host.cgroups(std::process::id()).unwrap_or_default();
        host.in_container |=
            !host.initial_pids || own.iter().any(|(_, path)| shape::container_in(path).is_some());
        Ok(host)
    }

    /// Which cgroups this host mounts: `v1`, `v2`, `hybrid` (both) or `none`.
    pub fn layout(&self) -> &'static str {
        let v2 = self.hierarchies.iter().any(Hierarchy::is_v2);
        let v1 = self.hierarchies.iter().any(|hierarchy| hierarchy.controller().is_some());
        match (v1, v2) {
            (true, true) => "hybrid",
            (true, false) => "v1",
            (false, true) => "v2",
            (false, false) => "none",
        }
    }

    /// True when we run inside a container ourselves.
    pub fn in_container(&self) -> bool {
        self.in_container
    }

    /// True when pids here are the kernel's own; false inside a container with a pid namespace of its
    /// own, where other processes of the host cannot be named.
    pub fn sees_host_pids(&self) -> bool {
        self.initial_pids
    }

    pub(super) fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    pub(super) fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// The host's root directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What the host itself calls a directory that we reach through [`Host::root`].
    pub(super) fn named_on_host(&self, dir: &Path) -> String {
        let below = dir.strip_prefix(&self.root).unwrap_or(dir);
        Path::new("/").join(below).to_string_lossy().into_owned()
    }

    /// `/proc/PID`.
    pub(super) fn process(&self, pid: u32) -> PathBuf {
        self.proc.join(pid.to_string())
    }

    /// A host whose procfs is a recorded tree, with one hierarchy mounted for each list of controllers.
    #[cfg(test)]
    pub(super) fn recorded(root: &Path, controllers: &[&str]) -> Self {
        let hierarchy = |(place, name): (usize, &&str)| Hierarchy {
            controllers: name.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            dir: root.join("cgroup").join(place.to_string()),
            root: "/".to_owned(),
            level: Some(0),
            descent: Vec::new(),
        };
        Self {
            root: root.to_path_buf(),
            proc: root.join("proc"),
            hierarchies: controllers.iter().enumerate().map(hierarchy).collect(),
            mounts: Vec::new(),
            in_container: false,
            initial_pids: true,
        }
    }

    /// The cgroup paths of a process, preferred hierarchy first.
    pub(super) fn cgroups(&self, pid: u32) -> Option<Vec<(usize, String)>> {
        let text = read::procfs(self.process(pid).join("cgroup"))?;
        let lines: Vec<(Vec<&str>, &str)> = text.lines().filter_map(parse_cgroup_line).collect();
        let located = self.hierarchies().iter().enumerate().filter_map(|(place, hierarchy)| {
            let same = |names: &[&str]| {
                names.len() == hierarchy.controllers.len()
                    && names.iter().all(|name| hierarchy.controllers.iter().any(|own| own == name))
            };
            let (_, path) = lines.iter().find(|(names, _)| same(names))?;
            Some((place, hierarchy.locate(path)?))
        });
        Some(located.collect())
    }

    /// The processes there are, by number only: one directory read, whatever their count.
    pub(super) fn pids(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.proc).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    }
}

/// `N:a,b:/path` as controllers and path; no controllers: cgroup2.
fn parse_cgroup_line(line: &str) -> Option<(Vec<&str>, &str)> {
    let mut fields = line.splitn(3, ':');
    let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
    Some((names.split(',').filter(|name| !name.is_empty()).collect(), path))
}

fn link(path: &str) -> String {
    fs::read_link(path).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Root directory and mounts of a process outside our container; `None` when we are in none.
fn far_side(init: &str, near: &[Mount]) -> Option<(String, Vec<Mount>)> {
    let far = mounts::parse(&read::procfs(format!("{init}/mountinfo"))?);
    let root = format!("{init}/root");
    let elsewhere = root_mount(&far).is_some() && root_mount(near) != root_mount(&far);
    (elsewhere && Path::new(&root).join("proc").is_dir()).then_some((root, far))
}

/// Filesystem and directory of `/`: differs between a container and the host.
fn root_mount(mounts: &[Mount]) -> Option<(&str, &str)> {
    let mount = mounts.iter().rfind(|mount| mount.point == "/")?;
    Some((&mount.device, &mount.root))
}

/// The hierarchies, best first, each through the mount that shows most of it.
fn hierarchies(near: &[Mount], far: Option<&(String, Vec<Mount>)>, initial: bool) -> Vec<Hierarchy> {
    let seen = |prefix: &str, mounts: &[Mount]| -> Vec<Hierarchy> {
        let shown = mounts.iter().filter_map(|mount| {
            let dir = PathBuf::from(format!("{prefix}{}", mount.point));
            let controllers = controllers(mount)?;
            shows(&dir, mount).then(|| Hierarchy::new(controllers, dir, mount.root.clone(), initial))
        });
        shown.collect()
    };
    let near = seen("", near);
    let far = far.map(|(prefix, mounts)| seen(prefix, mounts)).unwrap_or_default();
    let mut found: Vec<Hierarchy> = Vec::new();
    for new in near.iter().chain(&far) {
        match found.iter_mut().find(|known| known.controllers == new.controllers) {
            None => found.push(new.clone()),
            Some(known) if shows_more(new, known) => *known = new.clone(),
            Some(_) => {}
        }
    }
    for hierarchy in found.iter_mut().filter(|own| own.root.starts_with("/..")) {
        let namespace_root =
            near.iter().find(|own| own.controllers == hierarchy.controllers && own.root == "/");
        hierarchy.learn_descent(namespace_root.and_then(|own| inode(&own.dir)));
    }
    found.sort_by_key(Hierarchy::rank);
    found
}

fn shows_more(new: &Hierarchy, known: &Hierarchy) -> bool {
    known.level.is_none_or(|known| new.level.is_some_and(|new| new < known))
}

/// Controllers of a cgroup mount, sorted; empty for cgroup2; `None` for other filesystems.
fn controllers(mount: &Mount) -> Option<Vec<String>> {
    if mount.kind == "cgroup2" {
        return Some(Vec::new());
    }
    const OPTIONS: [&str; 6] = ["rw", "ro", "xattr", "noprefix", "clone_children", "none"];
    let names = mount
        .options
        .split(',')
        .filter(|name| !OPTIONS.contains(name) && !name.starts_with("release_agent="));
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    (mount.kind == "cgroup" && !names.is_empty()).then_some(names)
}

/// True when `dir` still shows this very filesystem: another mount may hide it.
fn shows(dir: &Path, mount: &Mount) -> bool {
    let Ok(stat) = rustix::fs::stat(dir) else { return false };
    let device = format!("{}:{}", rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    device == mount.device
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_of_cgroup_mounts() {
        let mount = |kind: &str, options: &str| Mount {
            id: 1,
            source: "none".into(),
            device: String::new(),
            root: "/".into(),
            point: "/x".into(),
            kind: kind.into(),
            options: options.into(),
        };
        assert_eq!(controllers(&mount("cgroup2", "rw,nsdelegate")), Some(vec![]));
        assert_eq!(
            controllers(&mount("cgroup", "rw,cpuacct,cpu")),
            Some(vec!["cpu".into(), "cpuacct".into()])
        );
        assert_eq!(controllers(&mount("cgroup", "rw,xattr,name=systemd")), Some(vec!["name=systemd".into()]));
        assert_eq!(controllers(&mount("tmpfs", "rw,mode=755")), None);
    }

    #[test]
    fn this_host_is_seen() {
        let host = Host::discover().unwrap();
        assert!(["v1", "v2", "hybrid", "none"].contains(&host.layout()));
        let own = std::process::id();
        assert!(host.tasks().iter().any(|task| task.pid == own));
    }

    #[test]
    fn cgroup_lines() {
        assert_eq!(parse_cgroup_line("0::/a:b"), Some((vec![], "/a:b")));
        assert_eq!(parse_cgroup_line("4:cpu,cpuacct:/"), Some((vec!["cpu", "cpuacct"], "/")));
        assert_eq!(parse_cgroup_line("junk"), None);
    }
}
