//! Processes whose container is not known yet, during one interval.
//!
//! In: processes that were seen too early (their runtime had not described the container) or too late (they
//! were gone). Out: the same processes with their containers, as soon as these are known.

use crate::profile::{Pid, Process};
use crate::target::{Owner, Owners};

/// Processes kept, at most.
const KEPT: usize = 1 << 16;
/// How often they are asked for after the last that came, and how many of them: a container that is being made
/// lives for tens of milliseconds at least.
const ASKED: u32 = 30;
const ASKED_OF: usize = 1_000;

/// Processes and their cgroups' ids.
#[derive(Default)]
pub struct Nameless {
    processes: Vec<(Pid, u64)>,
    asked: u32,
}

impl Nameless {
    /// Notes a process that came into view: without a container's name in the cgroup of that id (0: unknown),
    /// or with one.
    pub fn note(&mut self, pid: Pid, cgroup: Option<u64>) {
        match cgroup {
            Some(id) if id != 0 && self.processes.len() < KEPT => {
                self.processes.push((pid, id));
                self.asked = 0;
            }
            Some(_) => {}
            // What comes late must not take its name away.
            None => self.processes.retain(|(nameless, _)| *nameless != pid),
        }
    }

    /// Whether asking again soon may help.
    pub fn is_hopeful(&self) -> bool {
        self.asked < ASKED && !self.processes.is_empty()
    }

    /// Asks once more for the newest; those that have a container now.
    pub fn ask(&mut self, owners: &mut Owners) -> Vec<Process> {
        self.asked += 1;
        let newest = self.processes.len().saturating_sub(ASKED_OF);
        let mut named = Vec::new();
        for (pid, id) in self.processes.split_off(newest) {
            match owners.owner_of_cgroup(id) {
                Some(owner) if owner.certain && !owner.container.is_empty() => named.push(owned(pid, owner)),
                _ => self.processes.push((pid, id)),
            }
        }
        named
    }

    /// Asks for all for the last time; those that have at least a cgroup.
    pub fn give_up(&mut self, owners: &mut Owners) -> Vec<Process> {
        let all = std::mem::take(self).processes.into_iter();
        all.filter_map(|(pid, id)| Some(owned(pid, owners.owner_of_cgroup(id)?))).collect()
    }
}

fn owned(pid: Pid, Owner { container, cgroup, .. }: Owner) -> Process {
    Process { pid, container, cgroup, ..Process::default() }
}
