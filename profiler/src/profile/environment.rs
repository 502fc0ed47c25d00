//! The machine a session ran on.
//!
//! In: what `environment` read. Out: plain values; unknown things are empty, never guessed, and
//! `not_told` says why. Fields are added, never renamed: what an old capture lacks is empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Named counters of the kernel, read at the start and at the end.
pub type Counters = BTreeMap<String, u64>;

/// The machine at the start of the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Host name.
    pub hostname: String,
    /// `uname -r`.
    pub kernel_release: String,
    /// `uname -v`.
    pub kernel_version: String,
    /// Who built the kernel, and with which compiler: `/proc/version`.
    pub kernel_build: String,
    /// Why the kernel calls itself tainted, in its own letters (`O`: a module from elsewhere).
    pub tainted: String,
    /// `uname -m`.
    pub machine: String,
    /// Boot time, seconds since the Unix epoch.
    pub boot_unix_s: u64,
    /// Kernel command line.
    pub command_line: String,
    /// Active LSMs in order; empty when securityfs is not to be read.
    pub lsms: Vec<String>,
    /// Lockdown mode.
    pub lockdown: String,
    /// Kernel modules, `name version` or `name`.
    pub modules: Vec<String>,
    /// CPU vulnerability → mitigation.
    pub mitigations: BTreeMap<String, String>,
    /// Clock source in use.
    pub clock_source: String,
    /// CPU model.
    pub cpu_model: String,
    /// CPUs online.
    pub cpus_online: u32,
    /// CPUs possible: what per-CPU memory is sized by.
    pub cpus_possible: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// What the machine runs under (`KVM, Amazon EC2 m5.large`); `none` on bare metal.
    pub hypervisor: String,
    /// BPF programs loaded by others, `type name`.
    pub other_bpf_programs: Vec<String>,
    /// How many of them are BPF-LSM programs.
    pub bpf_lsm_programs: u32,
    /// Kernel and user probes set by others, `kprobe function+0x0`; those of BPF programs too.
    pub other_kprobes: Vec<String>,
    /// Kernel functions that ftrace diverts (fentry programs, live patches, ftrace users).
    pub traced_functions: Vec<String>,
    /// ftrace's current tracer; `nop` for none.
    pub tracer: String,
    /// cgroup layout: `v2`, `v1`, `hybrid`.
    pub cgroup_layout: String,
    /// The target's cgroups and those above them that limit it.
    pub cgroups: Vec<CgroupLimits>,
    /// Whose network the `tcp_…` counters are: `pid 1234`, else `this process`.
    pub network_of: String,
    /// Facts that could not be read: field → why.
    pub not_told: BTreeMap<String, String>,
    /// Counters at the start.
    pub at_start: Counters,
    /// Counters at the end, or when they were read last.
    pub at_end: Counters,
}

/// What one cgroup may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CgroupLimits {
    /// Its path.
    pub path: String,
    /// `v2`, or the controllers of its v1 hierarchy.
    pub hierarchy: String,
    /// A cgroup above the target's, listed for what it limits.
    pub above: bool,
    /// Limits that are set: the kernel's file → what it says (`cpu.max` → `20000 100000`).
    pub limits: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_of_the_first_captures_is_read() {
        let old = r#"{"hostname":"db1","kernel_release":"6.1","kernel_version":"","machine":"x86_64",
            "boot_unix_s":1,"command_line":"","lsms":[],"lockdown":"","modules":["ext4"],"mitigations":{},
            "clock_source":"tsc","cpu_model":"","cpus_online":2,"cpus_possible":2,"memory_bytes":3,
            "other_bpf_programs":["kprobe x"],"cgroup_layout":"v2","at_start":{"forks":1},"at_end":{}}"#;
        let read: Environment = serde_json::from_str(old).unwrap();
        assert_eq!((read.hostname.as_str(), read.at_start["forks"], read.memory_bytes), ("db1", 1, 3));
        assert_eq!((read.hypervisor.as_str(), read.cgroups.len(), read.not_told.len()), ("", 0, 0));
    }
}
