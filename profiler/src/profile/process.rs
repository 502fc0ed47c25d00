//! Processes: who a row belongs to.
//!
//! In: process events. Out: a table by pid with name, container and cgroup.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::folds::Folds;

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
    /// Its parent when it was seen first; 0 when unknown.
    #[serde(default)]
    pub parent: Pid,
    /// What its sockets are for.
    #[serde(default)]
    pub role: Role,
    /// How many ended processes it stands for; 0: it is one process. Never written.
    #[serde(skip)]
    pub ended: u64,
}

/// Which end of its connections a process is, by its sockets when they were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Not looked up, or it has no connections.
    #[default]
    Unknown,
    /// Others connected to it: what comes is a request.
    Server,
    /// It connected to others: what comes is an answer.
    Client,
    /// It has sockets of both kinds.
    Both,
}

/// What stands for a name that is not known.
pub const NAMELESS: &str = "unknown (no name)";

/// Processes by pid.
#[derive(Clone, Debug, Default)]
pub struct ProcessTable {
    known: BTreeMap<Pid, Process>,
    folds: Folds,
    /// Ended processes that are still named one by one somewhere.
    named: BTreeSet<Pid>,
}

impl ProcessTable {
    /// Adds or renames a process; facts that are unknown this time stay as they were.
    pub fn see(&mut self, process: Process) {
        if Folds::is_fold(process.pid.0) {
            return; // the kernel has no such pid: a hostile capture
        }
        // Who is seen again is another one with that pid.
        self.named.remove(&process.pid);
        let known = self.known.entry(process.pid).or_default();
        known.pid = process.pid;
        if process.parent != Pid(0) {
            known.parent = process.parent;
        }
        if process.role != Role::Unknown {
            known.role = process.role;
        }
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

    /// Lets one process stand for all ended ones of the same name and container. Returns which one stands for
    /// this process, if it was seen.
    pub fn fold(&mut self, pid: Pid) -> Option<Pid> {
        let process = self.known.get(&pid).filter(|process| process.ended == 0)?.clone();
        let facts = [process.comm, process.container, process.label, format!("{:?}", process.role)];
        let (fold, [comm, container, label, _]) = self.folds.of(facts);
        let fold = Pid(fold);
        let first = !self.known.contains_key(&fold);
        let sum = self.known.entry(fold).or_default();
        sum.ended += 1;
        if first {
            let (cgroup, parent, role) = (process.cgroup, process.parent, process.role);
            let ended = sum.ended;
            *sum = Process { pid: fold, comm, container, label, cgroup, parent, role, ended };
        }
        // What is not the same of all is nobody's.
        let same = self.known.get(&pid).zip(self.known.get(&fold));
        let (cgroup, parent) =
            same.map_or((false, false), |(a, b)| (a.cgroup == b.cgroup, a.parent == b.parent));
        if let Some(sum) = self.known.get_mut(&fold) {
            sum.cgroup = if cgroup { std::mem::take(&mut sum.cgroup) } else { String::new() };
            sum.parent = if parent { sum.parent } else { Pid(0) };
        }
        self.named.insert(pid);
        Some(fold)
    }

    /// Forgets ended processes, but for those that are still named one by one.
    pub fn forget_folded(&mut self, named: &BTreeSet<Pid>) {
        for pid in std::mem::take(&mut self.named) {
            if named.contains(&pid) {
                self.named.insert(pid);
            } else {
                self.known.remove(&pid);
            }
        }
    }

    /// The pid as outputs show it: of ended processes, how many they are.
    pub fn pid_text(&self, pid: Pid) -> String {
        match self.ended(pid) {
            0 => pid.0.to_string(),
            ended => format!("×{ended} ended"),
        }
    }

    /// How many ended processes it stands for; 0: it is one process.
    pub fn ended(&self, pid: Pid) -> u64 {
        self.known.get(&pid).map_or(0, |process| process.ended)
    }

    /// The process, if it was seen.
    pub fn get(&self, pid: Pid) -> Option<&Process> {
        self.known.get(&pid)
    }

    /// Command name; [`NAMELESS`] of a process that was never announced, or has an empty name.
    pub fn comm(&self, pid: Pid) -> &str {
        self.get(pid).map(|process| process.comm.as_str()).filter(|comm| !comm.is_empty()).unwrap_or(NAMELESS)
    }

    /// Container, empty for the host.
    pub fn container(&self, pid: Pid) -> &str {
        self.known.get(&pid).map_or("", |process| process.container.as_str())
    }

    /// AppArmor profile or SELinux context, empty when unknown.
    pub fn label(&self, pid: Pid) -> &str {
        self.known.get(&pid).map_or("", |process| process.label.as_str())
    }

    /// Which end of its connections it is.
    pub fn role(&self, pid: Pid) -> Role {
        self.known.get(&pid).map_or(Role::Unknown, |process| process.role)
    }

    /// All processes in pid order.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.known.values()
    }
}
