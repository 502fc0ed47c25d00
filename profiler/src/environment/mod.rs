//! The machine a session runs on, for the capture's header and its counters.
//!
//! In: procfs, sysfs, the list of loaded BPF programs (before the session loads its own).
//! Out: [`Environment`] and [`Counters`]; what is unknown stays empty, nothing fails.

mod counters;
mod programs;

use std::collections::BTreeMap;

use crate::machine::{self, CgroupLayout, Told};
use crate::profile::Environment;

pub use counters::counters;

/// Kernel modules that are listed at most.
const MODULES: usize = 2048;
/// Longest label that is kept, bytes.
const LABEL: usize = 512;
/// Vulnerabilities that are listed at most.
const MITIGATIONS: usize = 128;

/// Reads the machine and its counters. Call it before loading programs, or they show up as others'.
pub fn read() -> Environment {
    let system = rustix::system::uname();
    let name = |text: &std::ffi::CStr| machine::line(&text.to_string_lossy(), 256);
    let layout = machine::cgroup_layout(&machine::mounts());
    Environment {
        hostname: name(system.nodename()),
        kernel_release: name(system.release()),
        kernel_version: name(system.version()),
        machine: name(system.machine()),
        boot_unix_s: boot_unix_s(&text("/proc/stat")),
        command_line: fact("/proc/cmdline"),
        lsms: machine::lsms().known().cloned().unwrap_or_default(),
        lockdown: machine::lockdown().known().cloned().unwrap_or_default(),
        modules: modules(&text("/proc/modules")),
        mitigations: mitigations(),
        clock_source: fact("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        cpu_model: cpu_model(&machine::read("/proc/cpuinfo", 16 << 10).unwrap_or_default()),
        cpus_online: cpu_count(&fact("/sys/devices/system/cpu/online")),
        cpus_possible: cpu_count(&fact("/sys/devices/system/cpu/possible")),
        memory_bytes: memory_bytes(&text("/proc/meminfo")),
        other_bpf_programs: programs::loaded(),
        cgroup_layout: match layout {
            CgroupLayout::Unmounted => String::new(),
            mounted => mounted.name().to_owned(),
        },
        at_start: counters(),
        at_end: BTreeMap::new(),
    }
}

/// The AppArmor profile or SELinux context of a process; empty when it has none or is gone.
pub fn security_label(pid: u32) -> String {
    let read = |file: &str| match machine::read(&format!("/proc/{pid}/attr/{file}"), LABEL as u64) {
        Ok(text) => machine::line(text.trim_end_matches(['\0', '\n', '?']), LABEL),
        Err(_) => String::new(),
    };
    // Where several modules label processes, `current` is the first one's.
    match read("current") {
        label if label.is_empty() => read("apparmor/current"),
        label => label,
    }
}

fn text(path: &str) -> String {
    machine::read(path, 4 << 20).unwrap_or_default()
}

fn fact(path: &str) -> String {
    match machine::fact(path) {
        Told::Is(text) => text,
        Told::Not(_) => String::new(),
    }
}

fn boot_unix_s(stat: &str) -> u64 {
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0)
}

fn cpu_model(cpuinfo: &str) -> String {
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(String::new, |(_, name)| machine::line(name, 128))
}

fn memory_bytes(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    total.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0).saturating_mul(1024)
}

/// CPUs in a list like `0-3,8`.
fn cpu_count(list: &str) -> u32 {
    let count = |range: &str| -> Option<u32> {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        high.parse::<u32>().ok()?.checked_sub(low.parse().ok()?)?.checked_add(1)
    };
    list.split(',').filter_map(|range| count(range.trim())).fold(0, u32::saturating_add)
}

fn modules(list: &str) -> Vec<String> {
    list.lines()
        .take(MODULES)
        .filter_map(|line| line.split(' ').next())
        .filter(|name| is_module_name(name))
        .map(|name| match fact(&format!("/sys/module/{name}/version")).as_str() {
            "" => name.to_owned(),
            version => format!("{name} {version}"),
        })
        .collect()
}

/// Only such names become part of a path.
fn is_module_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(allowed)
}

fn mitigations() -> BTreeMap<String, String> {
    const PLACE: &str = "/sys/devices/system/cpu/vulnerabilities";
    let Ok(entries) = std::fs::read_dir(PLACE) else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .take(MITIGATIONS)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(|name| (machine::line(&name, 64), fact(&format!("{PLACE}/{name}"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_counted_and_nonsense_is_zero() {
        assert_eq!(cpu_count("0-3,8"), 5);
        assert_eq!(cpu_count("0"), 1);
        assert_eq!(cpu_count("3-1"), 0);
        assert_eq!(cpu_count("0-4294967295"), 0);
        assert_eq!(cpu_count(""), 0);
    }

    #[test]
    fn only_plain_module_names_become_paths() {
        assert_eq!(modules("../../etc/passwd 1 0 - Live 0x0\n"), Vec::<String>::new());
        assert_eq!(modules("no_such_module 1 0 - Live 0x0\n"), vec!["no_such_module".to_owned()]);
    }

    #[test]
    fn memory_is_bytes() {
        assert_eq!(memory_bytes("MemTotal:       2048 kB\n"), 2 << 20);
        assert_eq!(memory_bytes("MemTotal: 99999999999999999999 kB\n"), 0);
    }

    #[test]
    fn this_machine_is_read_and_holds_no_control_characters() {
        let read = read();
        assert!(read.kernel_release.contains('.'), "{read:?}");
        assert!(read.cpus_online >= 1 && read.cpus_possible >= read.cpus_online, "{read:?}");
        assert!(read.memory_bytes > 1 << 20 && read.boot_unix_s > 1_000_000_000, "{read:?}");
        assert!(!read.command_line.chars().any(char::is_control), "{:?}", read.command_line);
    }
}
