//! Processes: who a row belongs to.
//!
//! In: process events. Out: a table by pid with name, container and cgroup.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A process id as users see it (the kernel's tgid, in the host's pid namespace).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pid(pub u32);

/// A thread id as users see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tid(pub u32);

/// One process, as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid.
    pub pid: Pid,
    /// Its command name, raw: may hold anything, render through `render::clean`.
    pub comm: String,
    /// Container name (or id where it has no name); empty for a process of the host.
    pub container: String,
    /// Its cgroup path; empty when it was gone before it could be read.
    pub cgroup: String,
    /// AppArmor profile or SELinux context, raw; empty when no such module is active, or unread.
    #[serde(default)]
    pub label: String,
}

/// Processes by pid.
#[derive(Clone, Debug, Default)]
pub struct ProcessTable(BTreeMap<Pid, Process>);

impl ProcessTable {
    /// Adds or renames a process; what is not known this time stays as it was.
    pub fn see(&mut self, process: Process) {
        let known = self.0.entry(process.pid).or_default();
        known.pid = process.pid;
        for (field, new) in [
            (&mut known.comm, process.comm),
            (&mut known.container, process.container),
            (&mut known.cgroup, process.cgroup),
            (&mut known.label, process.label),
        ] {
            if !new.is_empty() {
                *field = new;
            }
        }
    }

    /// The process, if it was seen.
    pub fn get(&self, pid: Pid) -> Option<&Process> {
        self.0.get(&pid)
    }

    /// Command name, `?` for a process that was never announced.
    pub fn comm(&self, pid: Pid) -> &str {
        self.0.get(&pid).map_or("?", |process| process.comm.as_str())
    }

    /// Container, empty for the host.
    pub fn container(&self, pid: Pid) -> &str {
        self.0.get(&pid).map_or("", |process| process.container.as_str())
    }

    /// AppArmor profile or SELinux context, empty when unknown.
    pub fn label(&self, pid: Pid) -> &str {
        self.0.get(&pid).map_or("", |process| process.label.as_str())
    }

    /// All processes in pid order.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.0.values()
    }
}
