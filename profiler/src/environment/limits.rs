//! What the target's cgroups may use, and what the cgroups above them allow.
//!
//! In: cgroup directories. Out: the limits that are set, a bounded number; values that mean "no limit" are left out.

use std::collections::BTreeMap;
use std::path::Path;

use crate::machine::{self, CgroupPlace, Told};
use crate::profile::CgroupLimits;

/// Cgroups above a target that are looked at, at most.
const ABOVE: usize = 32;
/// Cgroups that are listed at most.
const LISTED: usize = 64;
/// Files of a cgroup that limit it: v2, then v1.
const FILES: &[&str] = &[
    "cpu.max",
    "cpu.max.burst",
    "cpu.weight",
    "cpu.idle",
    "cpuset.cpus",
    "memory.max",
    "memory.high",
    "memory.min",
    "memory.low",
    "memory.swap.max",
    "pids.max",
    "io.max",
    "io.weight",
    "io.latency",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.shares",
    "memory.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
];

/// Limits of the target's cgroups, each followed by the limiting ones above it.
pub fn limits(places: &[CgroupPlace]) -> Vec<CgroupLimits> {
    let mut found: Vec<CgroupLimits> = Vec::new();
    for place in places {
        found.push(CgroupLimits {
            path: machine::line(&place.path, 512),
            hierarchy: machine::line(&place.hierarchy(), 64),
            above: false,
            limits: of(&place.dir),
        });
        let mut path = Path::new(&place.path).parent();
        let above = place.dir.ancestors().skip(1).take_while(|dir| dir.starts_with(&place.top)).take(ABOVE);
        for dir in above {
            let limits = of(dir);
            let name =
                path.map_or_else(|| "/".to_owned(), |path| machine::line(&path.to_string_lossy(), 512));
            path = path.and_then(Path::parent);
            let hierarchy = place.hierarchy();
            let known = found.iter().any(|own| own.path == name && own.hierarchy == hierarchy);
            if !limits.is_empty() && !known {
                found.push(CgroupLimits { path: name, hierarchy, above: true, limits });
            }
        }
    }
    found.truncate(LISTED);
    found
}

fn of(dir: &Path) -> BTreeMap<String, String> {
    let set = |file: &&str| match machine::fact(&dir.join(file).to_string_lossy()) {
        Told::Is(value) if limits_something(file, &value) => Some(((*file).to_owned(), value)),
        _ => None,
    };
    let mut limits: BTreeMap<String, String> = FILES.iter().filter_map(set).collect();
    // A period without a quota limits nothing.
    if !limits.contains_key("cpu.cfs_quota_us") {
        limits.remove("cpu.cfs_period_us");
    }
    limits
}

/// Whether a value differs from the kernel's default, which limits nothing.
fn limits_something(file: &str, value: &str) -> bool {
    let default = match file {
        "cpu.weight" => "100",
        "io.weight" => "default 100",
        "cpu.shares" => "1024",
        "cpu.cfs_quota_us" => "-1",
        "cpu.max.burst" | "cpu.idle" | "memory.min" | "memory.low" => "0",
        _ => "max",
    };
    let unlimited = value.is_empty() || value == default || file == "cpu.max" && value.starts_with("max");
    // v1 counts pages in a signed number: whatever is near its end is no limit.
    let pages = file.ends_with("limit_in_bytes") && value.parse::<u64>().is_ok_and(|bytes| bytes >= 1 << 62);
    !unlimited && !pages
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_limits_is_listed() {
        for (file, value, limiting) in [
            ("cpu.max", "max 100000", false),
            ("cpu.max", "20000 100000", true),
            ("memory.limit_in_bytes", "9223372036854771712", false),
            ("memory.limit_in_bytes", "67108864", true),
            ("cpu.cfs_quota_us", "-1", false),
            ("cpu.weight", "100", false),
            ("cpuset.cpus", "", false),
        ] {
            assert_eq!(limits_something(file, value), limiting, "{file} {value}");
        }
    }

    #[test]
    fn limits_above_the_target_are_found_and_stop_at_the_top() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("pod/container");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("memory.max"), "67108864\n").unwrap();
        fs::write(dir.join("cpu.max"), "max 100000\n").unwrap();
        fs::write(top.path().join("pod/cpu.max"), "20000 100000\n").unwrap();
        let place = CgroupPlace {
            dir,
            top: top.path().to_owned(),
            path: "/pod/container".into(),
            controllers: vec![],
        };
        let found = limits(&[place]);
        let lines: Vec<String> =
            found.iter().map(|own| format!("{} {} {:?}", own.path, own.above, own.limits)).collect();
        let expected = [
            "/pod/container false {\"memory.max\": \"67108864\"}",
            "/pod true {\"cpu.max\": \"20000 100000\"}",
        ];
        assert_eq!(lines, expected);
    }
}
