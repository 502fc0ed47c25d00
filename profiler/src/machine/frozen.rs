//! Whether a process's cgroup is frozen, as by `docker pause`: it runs nothing, and its state does not tell.
//!
//! In: procfs and the mounted cgroups, both versions. Out: an answer for each process; each cgroup is read once.

use std::collections::HashMap;

use super::mounts::{Mount, parse};
use super::{mounts, read};

/// Bytes of one file that are read at most.
const FILE: u64 = 64 << 10;

/// The cgroups that may be frozen.
#[derive(Default)]
pub struct Freezers {
    mounts: Option<Vec<Mount>>,
    known: HashMap<String, bool>,
}

impl Freezers {
    /// Whether that process is frozen.
    pub fn freeze(&mut self, pid: u32) -> bool {
        let cgroups = read(&format!("/proc/{pid}/cgroup"), FILE).unwrap_or_default();
        let mounts = self.mounts.get_or_insert_with(|| parse(&mounts()));
        let files: Vec<String> = cgroups.lines().filter_map(|cgroup| file(cgroup, mounts)).collect();
        files.into_iter().any(|file| *self.known.entry(file).or_insert_with_key(|file| is_frozen(file)))
    }
}

/// The file that tells, of a line of `/proc/PID/cgroup`: `NUMBER:CONTROLLERS:PATH`, without controllers in version 2.
fn file(cgroup: &str, mounts: &[Mount]) -> Option<String> {
    let mut fields = cgroup.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let (kind, name) = match controllers {
        "" => ("cgroup2", "cgroup.events"),
        _ if has(controllers, "freezer") => ("cgroup", "freezer.state"),
        _ => return None,
    };
    let holds = |mount: &&Mount| mount.kind == kind && (kind == "cgroup2" || has(&mount.options, "freezer"));
    let mount = mounts.iter().find(holds)?;
    let below = path.strip_prefix(mount.root.trim_end_matches('/'))?;
    Some(format!("{}{}/{name}", mount.point, below.trim_end_matches('/')))
}

fn has(list: &str, word: &str) -> bool {
    list.split(',').any(|one| one == word)
}

fn is_frozen(file: &str) -> bool {
    let text = read(file, FILE).unwrap_or_default();
    text.lines().any(|line| line == "FROZEN" || line == "frozen 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "35 31 0:32 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n\
        36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        37 31 0:34 /below /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn each_version_tells_in_a_file_of_its_own() {
        let mounts = parse(MOUNTS);
        let at = |line: &str| file(line, &mounts);
        let of_first = "/sys/fs/cgroup/freezer/docker/a:b/freezer.state";
        assert_eq!(at("7:freezer:/docker/a:b").as_deref(), Some(of_first));
        assert_eq!(at("3:cpu:/docker/a"), None);
        assert_eq!(at("0::/below/x").as_deref(), Some("/sys/fs/cgroup/unified/x/cgroup.events"));
        assert_eq!(at("0::/elsewhere"), None, "it is not mounted here");
        assert_eq!(at("0::/below").as_deref(), Some("/sys/fs/cgroup/unified/cgroup.events"));
        assert_eq!(file("garbage", &mounts), None);
    }

    #[test]
    fn who_runs_is_not_frozen() {
        assert!(!Freezers::default().freeze(std::process::id()));
        assert!(!Freezers::default().freeze(0));
    }
}
