//! Whether two processes belong together: one that waits, and the one that wakes it.
//!
//! In: two processes. Out: whether they share a container or, on the host, a unit or a process tree. The
//! target of the recording does not matter.

use crate::profile::process::ProcessTable;
use crate::profile::{Pid, Process};

/// Parents that are followed at most.
const GENERATIONS: usize = 16;
/// Ends of the cgroups that systemd makes of one service or session's program.
const UNITS: [&str; 2] = [".service", ".scope"];

/// Whether `other` is inside what `own` belongs to.
pub fn is_inside(processes: &ProcessTable, own: Pid, other: Pid) -> bool {
    if own == other {
        return true;
    }
    let (Some(a), Some(b)) = (processes.get(own), processes.get(other)) else { return false };
    if !a.container.is_empty() || !b.container.is_empty() {
        return a.container == b.container;
    }
    if is_unit(a) || is_unit(b) {
        return a.cgroup == b.cgroup;
    }
    descends(processes, own, other) || descends(processes, other, own) || are_siblings(a, b)
}

/// A unit of the system, not the session of somebody who logged in.
fn is_unit(process: &Process) -> bool {
    let last = process.cgroup.rsplit('/').next().unwrap_or_default();
    UNITS.iter().any(|unit| last.ends_with(unit)) && !last.starts_with("session-")
}

fn descends(processes: &ProcessTable, child: Pid, of: Pid) -> bool {
    let mut at = child;
    for _ in 0..GENERATIONS {
        at = match processes.get(at).map(|process| process.parent) {
            Some(parent) if parent == of => return true,
            Some(parent) if parent.0 > 1 => parent,
            _ => return false,
        };
    }
    false
}

/// Processes of one name that one parent started.
fn are_siblings(a: &Process, b: &Process) -> bool {
    a.parent == b.parent && a.parent.0 > 1 && a.comm == b.comm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_is_the_waiters_own_container_unit_or_tree() {
        let mut table = ProcessTable::default();
        let mut see = |pid, comm: &str, container: &str, cgroup: &str, parent| {
            table.see(Process {
                pid: Pid(pid),
                comm: comm.into(),
                container: container.into(),
                cgroup: cgroup.into(),
                parent: Pid(parent),
                ..Process::default()
            });
        };
        see(10, "postgres", "db", "/docker/a", 1);
        see(11, "psql", "db", "/docker/a", 7);
        see(12, "app", "web", "/docker/b", 1);
        see(20, "unit", "", "/system.slice/x.service", 1);
        see(21, "worker", "", "/system.slice/x.service", 20);
        see(30, "master", "", "/", 2);
        see(31, "child", "", "/", 30);
        see(32, "child", "", "/", 30);
        see(33, "tool", "", "/", 30);
        let inside = |a, b| is_inside(&table, Pid(a), Pid(b));
        assert!(inside(10, 11) && !inside(10, 12) && !inside(10, 30) && inside(20, 21) && !inside(20, 30));
        assert!(inside(30, 31) && inside(31, 30) && inside(31, 32) && !inside(31, 33));
        assert!(inside(99, 99) && !inside(99, 98), "nothing is known of them");
    }
}
