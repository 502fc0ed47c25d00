//! Limits of this process: open files, memory.
//!
//! In: resource limits, `/proc/self`, the cgroups of this process. Out: what they allow, and phrases that name the
//! limit that explains an errno.

use std::error::Error;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{file_system, mount_point, read};

/// A limit of address space below this leaves no room for the programs' code and this binary, bytes.
const ADDRESS_SPACE: u64 = 512 << 20;
/// Memory that a recording may take with its maps on a small machine, bytes.
const MEMORY: u64 = 160 << 20;
/// Cgroups looked at from this process's own upwards, at most.
const ABOVE: usize = 32;

/// Lifts the soft limit of open files to the hard one; what it is then.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    limit.current.unwrap_or(u64::MAX)
}

/// Files that this process may still open.
pub fn free_files() -> u64 {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Where not even the listing can be opened, nothing is free. It holds one itself.
    let Ok(files) = std::fs::read_dir("/proc/self/fd") else { return 0 };
    limit.saturating_sub(files.count().saturating_sub(1) as u64)
}

/// The limit of open files, as a phrase that says how to raise it.
pub fn open_files() -> String {
    match getrlimit(Resource::Nofile).current {
        Some(limit) => format!("the limit of open files is {limit}; fix: ulimit -n 4096"),
        None => "the machine has no open files left; fix: sysctl fs.file-max".to_owned(),
    }
}

/// Limits of memory that are too low for a recording, one phrase each.
pub fn memory() -> Vec<String> {
    let mut found = Vec::new();
    for (resource, name, enough) in
        [(Resource::As, "ulimit -v", ADDRESS_SPACE), (Resource::Data, "ulimit -d", MEMORY)]
    {
        if let Some(limit) = getrlimit(resource).current.filter(|limit| *limit < enough) {
            found.push(format!("{name} is {} kB", limit >> 10));
        }
    }
    found.extend(cgroup_memory().map(|(file, bytes)| format!("{file} is {} MiB", bytes >> 20)));
    found
}

/// The phrase for an errno that a limit explains.
pub fn behind(errno: i32) -> Option<String> {
    match errno {
        libc::EMFILE => Some(open_files()),
        libc::ENFILE => Some("the machine has no open files left; fix: sysctl fs.file-max".to_owned()),
        libc::ENOMEM => Some(match memory().join(", ") {
            none if none.is_empty() => {
                "there is not enough memory, and no limit of this process is low".to_owned()
            }
            limits => format!("memory is limited: {limits}; fix: raise it, or record fewer probes"),
        }),
        _ => None,
    }
}

/// The phrase for an error that a limit explains, wherever in its chain of causes the errno is.
pub fn of(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        let errno = io.or_else(|| Some(error.downcast_ref::<rustix::io::Errno>()?.raw_os_error()));
        if let Some(limit) = errno.and_then(behind) {
            return Some(limit);
        }
        cause = error.source();
    }
    None
}

/// The tightest memory limit of this process's cgroups, where it is too low.
fn cgroup_memory() -> Option<(String, u64)> {
    let mounts = read("/proc/self/mountinfo", 4 << 20).ok()?;
    let own = read("/proc/self/cgroup", 64 << 10).ok()?;
    let limits = directories(&mounts, &own).into_iter().filter_map(|(dir, file)| {
        let path = dir.join(file);
        let bytes: u64 = read(path.to_str()?, 64).ok()?.trim().parse().ok()?;
        Some((path.display().to_string(), bytes))
    });
    limits.filter(|(_, bytes)| *bytes < MEMORY).min_by_key(|(_, bytes)| *bytes)
}

/// Directories of the cgroups that limit this process's memory, with the name of the limit.
fn directories(mounts: &str, own: &str) -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let (kind, file) = match controllers {
            "" => ("cgroup2", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => ("cgroup", "memory.limit_in_bytes"),
            _ => continue,
        };
        let is = |mount: &&str| {
            file_system(mount) == Some(kind)
                && (kind == "cgroup2" || mount.rsplit([' ', ',']).any(|option| option == "memory"))
        };
        let Some(mount) = mounts.lines().find(is) else { continue };
        let (Some(top), Some(root)) = (mount_point(mount), mount.split(' ').nth(3)) else { continue };
        let inside = Path::new(path).strip_prefix(root).or_else(|_| Path::new(path).strip_prefix("/"));
        let Ok(inside) = inside else { continue };
        let dir = Path::new(top).join(inside);
        let above = dir.ancestors().take(ABOVE).take_while(|dir| dir.starts_with(top));
        found.extend(above.map(|dir| (dir.to_owned(), file)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_limits_are_looked_for_from_the_own_cgroup_to_the_top_of_each_hierarchy() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            41 31 0:38 /outer /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = "4:memory:/a/b\n3:cpu:/c\n0::/outer/d\nnonsense\n";
        let found = directories(mounts, own);
        let text: Vec<String> = found.iter().map(|(dir, file)| format!("{}/{file}", dir.display())).collect();
        let expected = [
            "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/unified/d/memory.max",
            "/sys/fs/cgroup/unified/memory.max",
        ];
        assert_eq!(text, expected);
    }

    #[test]
    fn an_errno_that_a_limit_explains_names_it() {
        assert!(behind(libc::EMFILE).is_some_and(|why| why.contains("open files")));
        assert!(behind(libc::ENOMEM).is_some_and(|why| why.contains("memory")));
        assert_eq!(behind(libc::EPERM), None);
        let deep = anyhow::Error::new(rustix::io::Errno::MFILE).context("attaching").context("starting");
        assert!(of(deep.as_ref()).is_some_and(|why| why.contains("open files")));
        assert_eq!(of(&std::io::Error::from_raw_os_error(libc::EACCES)), None);
        assert!(free_files() > 0);
    }
}
