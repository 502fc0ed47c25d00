//! The machine a session runs on, for the capture's header and its counters.
//!
//! In: procfs, sysfs, the list of loaded BPF programs (before the session loads its own), the
//! target's cgroups. Out: [`Environment`], and counters through a [`Watch`]; what is unknown stays
//! empty and has its reason in `not_told`; nothing fails.

mod cgroup;
mod counters;
mod hypervisor;
mod limits;
mod programs;
mod tracing;
mod watch;

use std::collections::BTreeMap;

use crate::machine::{self, CgroupLayout, CgroupPlace, Told};
use crate::profile::Environment;

pub use watch::Watch;

/// Kernel modules that are listed at most.
const MODULES: usize = 2048;
/// Longest label that is kept, bytes.
const LABEL: usize = 512;
/// Vulnerabilities that are listed at most.
const MITIGATIONS: usize = 128;

/// Facts on their way into an [`Environment`]: those that cannot be read leave their reason.
#[derive(Default)]
struct Reading {
    not_told: BTreeMap<String, String>,
}

impl Reading {
    fn keep<T: Default>(&mut self, field: &str, told: Told<T>) -> T {
        match told {
            Told::Is(value) => value,
            Told::Not(why) => {
                self.not_told.insert(field.to_owned(), machine::line(&why, 160));
                T::default()
            }
        }
    }

    fn fact(&mut self, field: &str, path: &str) -> String {
        self.keep(field, machine::fact(path))
    }
}

/// Reads the machine, without its counters. Call it before loading programs, or they show up as others'.
pub fn read(places: &[CgroupPlace]) -> Environment {
    let mut reading = Reading::default();
    let mounts = machine::mounts();
    let mut environment = machine_of(&mut reading, &mounts);
    security(&mut reading, &mut environment);
    others(&mut reading, &mounts, &mut environment);
    environment.cgroups = limits::limits(places);
    environment.not_told = reading.not_told;
    environment
}

/// Hardware, kernel, and what it was told at boot.
fn machine_of(reading: &mut Reading, mounts: &str) -> Environment {
    let system = rustix::system::uname();
    let name = |text: &std::ffi::CStr| machine::line(&text.to_string_lossy(), 256);
    Environment {
        hostname: name(system.nodename()),
        kernel_release: name(system.release()),
        kernel_version: name(system.version()),
        kernel_build: reading.fact("kernel_build", "/proc/version"),
        tainted: letters(reading.keep("tainted", machine::number("/proc/sys/kernel/tainted"))),
        machine: name(system.machine()),
        boot_unix_s: reading.keep("boot_unix_s", boot_unix_s(&text("/proc/stat"))),
        command_line: reading.fact("command_line", "/proc/cmdline"),
        modules: reading.keep("modules", modules(machine::read("/proc/modules", 4 << 20))),
        clock_source: reading
            .fact("clock_source", "/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        cpu_model: reading.keep("cpu_model", cpu_model(&text_start("/proc/cpuinfo"))),
        cpus_online: cpu_count(&reading.fact("cpus_online", "/sys/devices/system/cpu/online")),
        cpus_possible: cpu_count(&reading.fact("cpus_possible", "/sys/devices/system/cpu/possible")),
        memory_bytes: reading.keep("memory_bytes", memory_bytes(&text("/proc/meminfo"))),
        hypervisor: reading.keep("hypervisor", hypervisor::hypervisor()),
        cgroup_layout: match machine::cgroup_layout(mounts) {
            CgroupLayout::Unmounted => String::new(),
            mounted => mounted.name().to_owned(),
        },
        ..Environment::default()
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

fn security(reading: &mut Reading, environment: &mut Environment) {
    environment.lsms = reading.keep("lsms", machine::lsms());
    environment.lockdown = reading.keep("lockdown", machine::lockdown());
    environment.mitigations = reading.keep("mitigations", mitigations());
}

/// Whoever else looks into this kernel.
fn others(reading: &mut Reading, mounts: &str, environment: &mut Environment) {
    let loaded = reading.keep("other_bpf_programs", programs::loaded());
    (environment.other_bpf_programs, environment.bpf_lsm_programs) = (loaded.lines, loaded.lsm);
    let tracefs = tracing::mounted(mounts, "tracefs", "/sys/kernel/tracing");
    let debugfs = tracing::mounted(mounts, "debugfs", "/sys/kernel/debug");
    environment.other_kprobes = reading.keep("other_kprobes", tracing::kprobes(tracefs, debugfs));
    environment.traced_functions = reading.keep("traced_functions", tracing::functions(tracefs));
    environment.tracer = reading.keep("tracer", tracing::tracer(tracefs));
}

fn text(path: &str) -> String {
    machine::read(path, 4 << 20).unwrap_or_default()
}

/// The part about the first CPU is enough: there may be thousands.
fn text_start(path: &str) -> String {
    machine::read(path, 16 << 10).unwrap_or_default()
}

fn fact(path: &str) -> String {
    match machine::fact(path) {
        Told::Is(text) => text,
        Told::Not(_) => String::new(),
    }
}

/// The kernel's taint mask as its own letters, in order of the bits (Documentation/admin-guide/tainted-kernels).
fn letters(mask: i64) -> String {
    const LETTERS: &str = "PFSRMBUDAWCIOELKXTNJ";
    LETTERS.chars().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, letter)| letter).collect()
}

fn boot_unix_s(stat: &str) -> Told<u64> {
    let time = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    time.map_or_else(|| Told::Not("/proc/stat does not tell it".to_owned()), Told::Is)
}

fn cpu_model(cpuinfo: &str) -> Told<String> {
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let told = model.map(|(_, name)| Told::Is(machine::line(name, 128)));
    told.unwrap_or_else(|| Told::Not("/proc/cpuinfo does not tell it".to_owned()))
}

fn memory_bytes(meminfo: &str) -> Told<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    let bytes = total.and_then(|kib| kib.parse::<u64>().ok()?.checked_mul(1024));
    bytes.map_or_else(|| Told::Not("/proc/meminfo does not tell it".to_owned()), Told::Is)
}

/// CPUs in a list like `0-3,8`.
fn cpu_count(list: &str) -> u32 {
    let count = |range: &str| -> Option<u32> {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        high.parse::<u32>().ok()?.checked_sub(low.parse().ok()?)?.checked_add(1)
    };
    list.split(',').filter_map(|range| count(range.trim())).fold(0, u32::saturating_add)
}

fn modules(list: Result<String, String>) -> Told<Vec<String>> {
    match list {
        Ok(list) => Told::Is(module_lines(&list)),
        Err(why) => Told::Not(why),
    }
}

fn module_lines(list: &str) -> Vec<String> {
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

fn mitigations() -> Told<BTreeMap<String, String>> {
    const PLACE: &str = "/sys/devices/system/cpu/vulnerabilities";
    let Ok(entries) = std::fs::read_dir(PLACE) else {
        return Told::Not(format!("{PLACE} is not readable"));
    };
    let found = entries
        .flatten()
        .take(MITIGATIONS)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(|name| (machine::line(&name, 64), fact(&format!("{PLACE}/{name}"))));
    Told::Is(found.collect())
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
        assert_eq!(module_lines("../../etc/passwd 1 0 - Live 0x0\n"), Vec::<String>::new());
        assert_eq!(module_lines("no_such_module 1 0 - Live 0x0\n"), vec!["no_such_module".to_owned()]);
    }

    #[test]
    fn memory_is_bytes() {
        assert_eq!(memory_bytes("MemTotal:       2048 kB\n"), Told::Is(2 << 20));
        assert!(memory_bytes("MemTotal: 99999999999999999999 kB\n").known().is_none());
    }

    #[test]
    fn the_kernels_letters() {
        assert_eq!([letters(0), letters(12289), letters(i64::MIN)], ["", "POE", ""]);
    }

    #[test]
    fn this_machine_is_read_and_what_is_empty_has_a_reason() {
        let read = read(&[]);
        assert!(read.kernel_release.contains('.'), "{read:?}");
        assert!(read.cpus_online >= 1 && read.cpus_possible >= read.cpus_online, "{read:?}");
        assert!(read.memory_bytes > 1 << 20 && read.boot_unix_s > 1_000_000_000, "{read:?}");
        assert!(!read.command_line.chars().any(char::is_control), "{:?}", read.command_line);
        let told =
            |field: &str, empty: bool| assert_eq!(read.not_told.contains_key(field), empty, "{read:?}");
        told("lockdown", read.lockdown.is_empty());
        told("hypervisor", read.hypervisor.is_empty());
        told("tracer", read.tracer.is_empty());
        told("kernel_build", read.kernel_build.is_empty());
    }
}
