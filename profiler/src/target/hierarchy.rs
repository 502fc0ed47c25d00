//! One cgroup hierarchy: cgroup2, or one v1 mount with its controllers.
//!
//! In: a mount that shows it, and cgroup paths as the kernel prints them (relative to the reader's
//! cgroup namespace, so `/../..` may occur). Out: paths below the directory we can open, and the id
//! (inode) and level (depth below the hierarchy's root) by which the kernel knows a cgroup.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Controllers by which the kernel side can recognize a v1 cgroup, best first.
const PREFERENCE: [&str; 12] = [
    "memory",
    "cpu",
    "cpuacct",
    "pids",
    "cpuset",
    "blkio",
    "devices",
    "freezer",
    "net_cls",
    "perf_event",
    "hugetlb",
    "net_prio",
];
/// The kernel gives every hierarchy's root this inode.
const ROOT_INODE: u64 = 1;
/// Bounds for walks: a delegated subtree may be made as large as its owner likes.
const MAX_DIRECTORIES: usize = 1 << 17;
const MAX_DEPTH: usize = 64;

/// One hierarchy.
#[derive(Clone, Debug)]
pub(super) struct Hierarchy {
    /// Controllers of a v1 hierarchy (`name=systemd` for a named one); empty for cgroup2.
    pub controllers: Vec<String>,
    /// The directory through which it is read.
    pub dir: PathBuf,
    /// Which cgroup `dir` is, as the kernel prints it.
    pub root: String,
    /// Depth of `dir` in the kernel; `None` when only part of the hierarchy is visible.
    pub level: Option<u32>,
    /// Names that lead from `dir` down to our cgroup namespace's root, when `root` is above it.
    pub descent: Vec<String>,
}

impl Hierarchy {
    /// A hierarchy seen through `dir`; `initial` says that our cgroup namespace is the host's.
    pub(super) fn new(controllers: Vec<String>, dir: PathBuf, root: String, initial: bool) -> Self {
        let (ups, names) = split(&root);
        let level = match inode(&dir) {
            Some(ROOT_INODE) => Some(0),
            _ if initial && ups == 0 => u32::try_from(names.len()).ok(),
            _ => None,
        };
        Self { controllers, dir, root, level, descent: Vec::new() }
    }

    /// True for cgroup2.
    pub(super) fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// The controller that stands for a v1 hierarchy; `None` for cgroup2 and for named hierarchies,
    /// which the kernel side cannot look at.
    pub(super) fn controller(&self) -> Option<&'static str> {
        PREFERENCE.into_iter().find(|known| self.controllers.iter().any(|own| own == known))
    }

    /// Rank among hierarchies: cgroup2, then v1 in order of preference, named ones last.
    pub(super) fn rank(&self) -> usize {
        if self.is_v2() {
            return 0;
        }
        let known = self.controller().and_then(|own| PREFERENCE.iter().position(|name| *name == own));
        known.map_or(PREFERENCE.len() + 1, |place| place + 1)
    }

    /// A path as the kernel prints it, made relative to `dir` (`/` is `dir` itself).
    pub(super) fn locate(&self, printed: &str) -> Option<String> {
        let printed = printed.strip_suffix(" (deleted)").unwrap_or(printed);
        let (ups, names) = split(printed);
        let (root_ups, root_names) = split(&self.root);
        if ups == root_ups {
            return names.strip_prefix(root_names.as_slice()).map(join);
        }
        let above = root_ups.checked_sub(ups)?;
        let mut whole: Vec<&str> = self.descent.get(..above)?.iter().map(String::as_str).collect();
        whole.extend(names);
        root_names.is_empty().then(|| join(&whole))
    }

    /// The directory of a located path.
    pub(super) fn directory(&self, located: &str) -> PathBuf {
        self.dir.join(located.trim_start_matches('/'))
    }

    /// What users call a located path: from the hierarchy's root where that is known.
    pub(super) fn display(&self, located: &str) -> String {
        if self.root == "/" || self.root.starts_with("/..") {
            return located.to_owned();
        }
        format!("{}{}", self.root, located.trim_end_matches('/'))
    }

    /// A path from the hierarchy's root, made relative to `dir`: what [`Self::display`] shows; `None` where `dir` is
    /// somewhere else, or it is not visible where.
    pub(super) fn located(&self, shown: &str) -> Option<String> {
        self.level?;
        if self.root == "/" || self.root.starts_with("/..") {
            return Some(shown.to_owned());
        }
        below(shown, &self.root).map(|rest| if rest.is_empty() { "/".to_owned() } else { rest.to_owned() })
    }

    /// The kernel's id and level of a located path; `None` when it is gone or its depth is not visible.
    pub(super) fn identity(&self, located: &str) -> Option<(u64, u32)> {
        let (_, names) = split(located);
        let level = self.level?.checked_add(u32::try_from(names.len()).ok()?)?;
        Some((inode(&self.directory(located))?, level))
    }

    /// Calls `visit(located, inode)` for each cgroup below and including `from`, until it returns false.
    pub(super) fn walk(&self, from: &str, mut visit: impl FnMut(&str, u64) -> bool) {
        let mut open = vec![from.to_owned()];
        let mut seen = 0_usize;
        while let Some(located) = open.pop() {
            seen += 1;
            let directory = self.directory(&located);
            let Some(inode) = inode(&directory) else { continue };
            if seen > MAX_DIRECTORIES || !visit(&located, inode) {
                return;
            }
            if split(&located).1.len() >= MAX_DEPTH {
                continue;
            }
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let names = directories.filter_map(|entry| entry.file_name().into_string().ok());
            open.extend(names.map(|name| format!("{}/{name}", located.trim_end_matches('/'))));
        }
    }

    /// Learns the names down to our namespace's root: the cgroup with this inode, or, where no mount of
    /// ours shows it, the one that holds this process.
    pub(super) fn learn_descent(&mut self, namespace_root: Option<u64>) {
        let own = std::process::id().to_string();
        let holds_us = |located: &str| {
            let procs = super::read::procfs(self.directory(located).join("cgroup.procs"));
            procs.is_some_and(|procs| procs.lines().any(|pid| pid == own))
        };
        let mut found = None;
        self.walk("/", |located, inode| {
            if namespace_root.map_or_else(|| holds_us(located), |wanted| wanted == inode) {
                found = Some(located.to_owned());
            }
            found.is_none()
        });
        self.descent = found.iter().flat_map(|path| split(path).1).map(str::to_owned).collect();
    }
}

/// Inode of a directory.
pub(super) fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_dir).map(|meta| meta.ino())
}

/// User who owns a directory.
pub(super) fn owner(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().filter(fs::Metadata::is_dir).map(|meta| meta.uid())
}

/// What follows `prefix` in `path`, at a component's border: `""` or `/…`.
pub(super) fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| if rest == "/" { "" } else { rest })
}

/// Leading `..` and the names that follow.
fn split(path: &str) -> (usize, Vec<&str>) {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let ups = names.iter().take_while(|name| **name == "..").count();
    (ups, names.into_iter().skip(ups).collect())
}

fn join(names: &[&str]) -> String {
    format!("/{}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen_through(root: &str, descent: &[&str]) -> Hierarchy {
        Hierarchy {
            controllers: Vec::new(),
            dir: PathBuf::from("/nowhere"),
            root: root.to_owned(),
            level: Some(0),
            descent: descent.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn printed_paths_are_located_below_the_mount() {
        let cases: [(&str, &[&str], &str, Option<&str>); 8] = [
            ("/", &[], "/a/b", Some("/a/b")),
            ("/", &[], "/a (deleted)", Some("/a")),
            ("/a", &[], "/a/b", Some("/b")),
            ("/a", &[], "/a", Some("/")),
            ("/a", &[], "/ab", None),
            // Our namespace's root is /docker/me, the mount shows the host's root.
            ("/../..", &["docker", "me"], "/../you", Some("/docker/you")),
            ("/../..", &["docker", "me"], "/", Some("/docker/me")),
            ("/../..", &[], "/x", None),
        ];
        for (root, descent, printed, want) in cases {
            assert_eq!(seen_through(root, descent).locate(printed).as_deref(), want, "{root} {printed}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_component() {
        assert_eq!(below("/a/b", "/a"), Some("/b"));
        assert_eq!(below("/ab", "/a"), None);
        assert_eq!(below("/a", "/"), Some("/a"));
        assert_eq!(below("/", "/"), Some(""));
    }
}
