//! What takes CPU time from a test without any thread of this kernel running: the host of a virtual machine,
//! and the quota of the test's own cgroups. The wall clock runs meanwhile, and the witness cannot tell in
//! which part of a call the time was taken.
//!
//! In: procfs, cgroups. Out: ns since some moment, to be compared with later.

use std::{fs, path::PathBuf};

const NS_PER_TICK: u64 = 10_000_000;

/// All of it so far, ns.
pub fn taken_ns() -> u64 {
    stolen_ns() + throttled_ns()
}

/// Time in which CPUs had work and the host did not run them, over all CPUs since boot. The kernel tells ticks: what it has
/// of one that is not whole yet is not told.
fn stolen_ns() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = stat.lines().next().and_then(|line| line.split_whitespace().nth(8));
    ticks.and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0) * NS_PER_TICK
}

/// Time in which a quota stopped our cgroup or one above it, so far.
pub fn throttled_ns() -> u64 {
    stat_files().iter().map(|file| throttled_in(&fs::read_to_string(file).unwrap_or_default())).sum()
}

/// ns of version 1, µs of version 2.
fn throttled_in(stat: &str) -> u64 {
    let field = |name: &str| {
        stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    field("throttled_time ") + field("throttled_usec ") * 1000
}

/// `cpu.stat` of our cgroup and those above it, in whichever hierarchy has the CPU controller.
fn stat_files() -> Vec<PathBuf> {
    let (mounts, cgroups) = (read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
    let mut files = Vec::new();
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        if !controllers.is_empty() && !controllers.split(',').any(|name| name == "cpu") {
            continue;
        }
        let Some(mount) = mount_of(&mounts, controllers.is_empty()) else { continue };
        let mut directory = mount.join(path.trim_start_matches('/'));
        while directory != mount && directory.starts_with(&mount) {
            files.push(directory.join("cpu.stat"));
            directory.pop();
        }
    }
    files
}

fn mount_of(mounts: &str, unified: bool) -> Option<PathBuf> {
    let is = |line: &&str| match unified {
        true => line.contains(" - cgroup2 "),
        false => line.contains(" - cgroup ") && line.rsplit([' ', ',']).any(|option| option == "cpu"),
    };
    Some(PathBuf::from(mounts.lines().find(is)?.split(' ').nth(4)?))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_cgroups_are_read() {
        assert_eq!(throttled_in("nr_periods 4\nnr_throttled 2\nthrottled_time 81000\n"), 81_000);
        assert_eq!(throttled_in("usage_usec 9\nnr_throttled 2\nthrottled_usec 81\n"), 81_000);
        assert_eq!(throttled_in("usage_usec 9\n"), 0);
    }
}
