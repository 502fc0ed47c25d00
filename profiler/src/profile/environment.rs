//! The machine a session ran on.
//!
//! In: what `environment` read. Out: plain values; unknown things are empty, never guessed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Named counters of the kernel, read at the start and at the end.
pub type Counters = BTreeMap<String, u64>;

/// The machine at the start of the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Host name.
    pub hostname: String,
    /// `uname -r`.
    pub kernel_release: String,
    /// `uname -v`.
    pub kernel_version: String,
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
    /// BPF programs loaded by others, `type name`.
    pub other_bpf_programs: Vec<String>,
    /// cgroup layout: `v2`, `v1`, `hybrid`.
    pub cgroup_layout: String,
    /// Counters at the start.
    pub at_start: Counters,
    /// Counters at the end; empty in a partial capture.
    pub at_end: Counters,
}

impl Environment {
    /// BPF programs of others that are LSM hooks.
    pub fn other_bpf_lsm_programs(&self) -> u64 {
        let lsm = self.other_bpf_programs.iter().filter(|program| program.split(' ').next() == Some("lsm"));
        lsm.map(|program| program.rsplit_once(" ×").map_or(1, |(_, count)| count.parse().unwrap_or(1))).sum()
    }
}
