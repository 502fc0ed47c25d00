//! Counters of the target's cgroups: CPU throttling, memory events, pressure.
//!
//! In: cgroup directories, v2 or v1. Out: `cgroup_…` counters, summed over the target's cgroups and over all instances of
//! each: one that is made anew begins at 0. The kernel counts throttling at the cgroup that has the quota, which may be below or above the target.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::counters::pressure;
use crate::machine::{self, CgroupPlace};
use crate::profile::Counters;

/// Cgroups below the target that are looked at, at most.
const BELOW: usize = 64;
/// Cgroups above the target that are looked at, at most.
const ABOVE: usize = 32;
/// Bytes of one file that are read at most.
const FILE: u64 = 64 << 10;

/// A cgroup of the target by its path, in all its instances.
pub struct Instances {
    place: CgroupPlace,
    /// The living one's; 0: there is none.
    inode: u64,
    /// What it had counted when it was read last.
    living: Counters,
    /// What those before it had counted when they were read last.
    before: Counters,
}

impl Instances {
    /// Nothing read yet.
    pub fn new(place: CgroupPlace) -> Self {
        Self { place, inode: 0, living: Counters::new(), before: Counters::new() }
    }

    fn look(&mut self) {
        let inode = std::fs::metadata(&self.place.dir).map_or(0, |directory| directory.ino());
        if inode != self.inode {
            let ended = std::mem::take(&mut self.living);
            ended.iter().for_each(|(name, value)| add(&mut self.before, name, *value));
            self.inode = inode;
        }
        if inode == 0 {
            return;
        }
        self.living.clear();
        whole(&self.place.dir, &mut self.living);
        for dir in directories(&self.place.dir) {
            throttling(&text(&dir, "cpu.stat"), "cgroup", &mut self.living);
        }
    }
}

/// Adds the counters of all places.
pub fn counters(places: &mut [Instances], counters: &mut Counters) {
    let (mut v2, mut v1) = (Counters::new(), Counters::new());
    let mut above: Vec<PathBuf> = Vec::new();
    for instances in places {
        instances.look();
        let place = &instances.place;
        let sums = if place.controllers.is_empty() { &mut v2 } else { &mut v1 };
        for (name, value) in instances.before.iter().chain(&instances.living) {
            add(sums, name, *value);
        }
        let parents = place.dir.ancestors().skip(1).take_while(|dir| dir.starts_with(&place.top)).take(ABOVE);
        above.extend(parents.map(Path::to_owned));
    }
    above.sort_unstable();
    above.dedup();
    for dir in above {
        throttling(&text(&dir, "cpu.stat"), "cgroup_above", &mut v2);
    }
    counters.extend(v1);
    counters.extend(v2);
}

fn text(dir: &Path, file: &str) -> String {
    machine::read(&dir.join(file).to_string_lossy(), FILE).unwrap_or_default()
}

/// What the kernel already sums over a cgroup and all below it.
fn whole(dir: &Path, sums: &mut Counters) {
    for (name, value) in pairs(&text(dir, "cpu.stat")) {
        if name == "usage_usec" {
            add(sums, "cgroup_cpu_us", value);
        }
    }
    if let Ok(ns) = text(dir, "cpuacct.usage").trim().parse::<u64>() {
        add(sums, "cgroup_cpu_us", ns / 1000);
    }
    for (name, value) in pairs(&text(dir, "memory.events")) {
        if ["low", "high", "max", "oom", "oom_kill"].contains(&name) {
            add(sums, &format!("cgroup_memory_{name}"), value);
        }
    }
    if let Ok(hits) = text(dir, "memory.failcnt").trim().parse() {
        add(sums, "cgroup_memory_max", hits);
    }
    for (name, value) in pairs(&text(dir, "memory.oom_control")) {
        if name == "oom_kill" {
            add(sums, "cgroup_memory_oom_kill", value);
        }
    }
    memory(&text(dir, "memory.stat"), sums);
    for (name, value) in pairs(&text(dir, "pids.events")) {
        if name == "max" {
            add(sums, "cgroup_pids_max", value);
        }
    }
    for resource in ["cpu", "memory", "io", "irq"] {
        pressure(&format!("cgroup_pressure_{resource}"), &text(dir, &format!("{resource}.pressure")), sums);
    }
}

/// v1 says `total_` where it counts what is below, too.
fn memory(stat: &str, sums: &mut Counters) {
    for (name, value) in pairs(stat) {
        let to = match name {
            "pgmajfault" if !stat.contains("\ntotal_pgmajfault ") => "cgroup_major_faults",
            "total_pgmajfault" => "cgroup_major_faults",
            "pgsteal_direct" => "cgroup_direct_reclaim_pages",
            "workingset_refault_file" | "workingset_refault_anon" => "cgroup_refaults",
            _ => continue,
        };
        add(sums, to, value);
    }
}

/// v2 counts µs, v1 ns.
fn throttling(stat: &str, prefix: &str, sums: &mut Counters) {
    for (name, value) in pairs(stat) {
        let (to, value) = match name {
            "nr_periods" => ("periods", value),
            "nr_throttled" => ("throttled_periods", value),
            "throttled_usec" => ("throttled_us", value),
            "throttled_time" => ("throttled_us", value / 1000),
            _ => continue,
        };
        add(sums, &format!("{prefix}_{to}"), value);
    }
}

/// A cgroup and those below it.
fn directories(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut at = 0;
    while let Some(dir) = found.get(at).cloned() {
        at += 1;
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(below.map(|entry| entry.path()).take(BELOW.saturating_sub(found.len())));
    }
    found
}

/// Lines of `name number`.
fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name, value.trim().parse().ok()?))
    })
}

fn add(sums: &mut Counters, name: &str, value: u64) {
    let sum = sums.entry(name.to_owned()).or_default();
    *sum = sum.saturating_add(value);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn place(top: &Path, below: &str, controllers: &[&str]) -> CgroupPlace {
        CgroupPlace {
            dir: top.join(below),
            top: top.to_owned(),
            path: format!("/{below}"),
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn read(places: &[CgroupPlace]) -> Vec<String> {
        let mut places: Vec<_> = places.iter().map(|place| Instances::new(place.clone())).collect();
        told(&mut places)
    }

    fn told(places: &mut [Instances]) -> Vec<String> {
        let mut found = Counters::new();
        counters(places, &mut found);
        found.iter().map(|(name, value)| format!("{name} {value}")).collect()
    }

    #[test]
    fn throttling_is_summed_below_and_told_apart_above() {
        let top = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = top.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("cpu.stat", "usage_usec 9\n");
        write("pod/cpu.stat", "usage_usec 8\nnr_periods 10\nnr_throttled 3\nthrottled_usec 700\n");
        write("pod/web/cpu.stat", "usage_usec 5\nnr_periods 4\nnr_throttled 0\nthrottled_usec 0\n");
        write("pod/web/a/cpu.stat", "usage_usec 1\nnr_periods 6\nnr_throttled 2\nthrottled_usec 30\n");
        write("pod/web/memory.events", "low 0\nhigh 1\nmax 12\noom 0\noom_kill 0\n");
        write("pod/web/io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\n");
        let expected = [
            "cgroup_above_periods 10",
            "cgroup_above_throttled_periods 3",
            "cgroup_above_throttled_us 700",
            "cgroup_cpu_us 5",
            "cgroup_memory_high 1",
            "cgroup_memory_low 0",
            "cgroup_memory_max 12",
            "cgroup_memory_oom 0",
            "cgroup_memory_oom_kill 0",
            "cgroup_periods 10",
            "cgroup_pressure_io_some_us 77",
            "cgroup_throttled_periods 2",
            "cgroup_throttled_us 30",
        ];
        assert_eq!(read(&[place(top.path(), "pod/web", &[])]), expected);
    }

    #[test]
    fn v1_has_other_files_and_units_and_is_not_added_to_v2() {
        let (v1, v2) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for top in [&v1, &v2] {
            fs::create_dir(top.path().join("x")).unwrap();
        }
        let write = |file: &str, text: &str| fs::write(v1.path().join("x").join(file), text).unwrap();
        write("cpu.stat", "nr_periods 5\nnr_throttled 1\nthrottled_time 2000000\n");
        write("cpuacct.usage", "9000\n");
        write("memory.failcnt", "31\n");
        write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        write("memory.stat", "pgmajfault 1\ntotal_pgmajfault 4\n");
        fs::write(v2.path().join("x/cpu.stat"), "usage_usec 8\n").unwrap();
        let expected = [
            "cgroup_cpu_us 8",
            "cgroup_major_faults 4",
            "cgroup_memory_max 31",
            "cgroup_memory_oom_kill 2",
            "cgroup_periods 5",
            "cgroup_throttled_periods 1",
            "cgroup_throttled_us 2000",
        ];
        assert_eq!(read(&[place(v2.path(), "x", &[]), place(v1.path(), "x", &["cpu"])]), expected);
    }

    #[test]
    fn instances_of_one_path_add_up_and_those_that_are_gone_stay() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("web");
        // What is moved away keeps its inode: the next one has another.
        let gone = |name: &str| fs::rename(&dir, top.path().join(name)).unwrap();
        let make = |us: u64| {
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("cpu.stat"), format!("usage_usec {us}\n")).unwrap();
        };
        let mut places = [Instances::new(place(top.path(), "web", &[]))];
        make(100);
        assert_eq!(told(&mut places), ["cgroup_cpu_us 100"]);
        make(150);
        assert_eq!(told(&mut places), ["cgroup_cpu_us 150"]);
        gone("first");
        assert_eq!(told(&mut places), ["cgroup_cpu_us 150"]);
        make(700);
        assert_eq!(
            told(&mut places),
            ["cgroup_cpu_us 850"],
            "also where the next one has more than the last one"
        );
        gone("second");
        make(3);
        assert_eq!(told(&mut places), ["cgroup_cpu_us 853"], "and where nobody saw that there was none");
    }

    #[test]
    fn a_cgroup_that_is_gone_has_no_counters() {
        assert_eq!(read(&[place(Path::new("/nowhere"), "x", &[])]), Vec::<String>::new());
    }
}
