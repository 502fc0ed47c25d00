//! Stalls outside of system calls: page faults, reclaim, stops, waits for a CPU.
//!
//! In: rows of waits in no call. Out: a line per process with its stalls by what they were, longest total first.
//! Kernel threads that wait for something to do do not stall.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::probes::waits::class::Classes;
use crate::probes::waits::stacks::{Places, SHORT, stacks};
use crate::probes::waits::sums::add;
use crate::profile::{Histogram, Pid, Profile, Wait};
use crate::render::syscalls::CallClass;

/// Stalls of one process.
pub struct Outside<'p> {
    /// Process.
    pub pid: Pid,
    /// The stalls.
    pub stalls: Histogram,
    /// Their time by what they waited for, ns.
    pub by: BTreeMap<Wait, u64>,
    /// Time by what it was blocked on, ns.
    pub on: BTreeMap<&'p str, u64>,
}

impl Outside<'_> {
    /// Blocked time, ns.
    pub fn blocked_ns(&self) -> u64 {
        let blocked = self.by.iter().filter(|(wait, _)| !wait.is_runnable());
        blocked.map(|(_, ns)| *ns).fold(0, u64::saturating_add)
    }

    /// Time of one kind, ns.
    pub fn get(&self, wait: Wait) -> u64 {
        self.by.get(&wait).copied().unwrap_or(0)
    }
}

/// All of them.
pub fn rows<'p>(
    profile: &'p Profile,
    classes: &mut Classes<'p>,
    places: &mut Places<'p>,
) -> Vec<Outside<'p>> {
    let mut lines: BTreeMap<Pid, Outside<'p>> = BTreeMap::new();
    for (key, row) in profile.waits.rows.iter().filter(|(key, _)| key.nr.is_none()) {
        if !key.wait.is_runnable() && classes.of_row(key).0 == CallClass::Idle {
            continue;
        }
        let line = lines.entry(key.pid).or_insert_with(|| Outside {
            pid: key.pid,
            stalls: Histogram::default(),
            by: BTreeMap::new(),
            on: BTreeMap::new(),
        });
        line.stalls.merge(row);
        add(&mut line.by, key.wait, row.total_ns);
        if key.wait.is_runnable() {
            continue;
        }
        let (stacks, rest) = stacks(&profile.waits, key, row.total_ns);
        for (stack, ns) in stacks {
            add(&mut line.on, places.of(stack), ns);
        }
        add(&mut line.on, SHORT, rest);
    }
    let mut lines: Vec<_> = lines.into_values().collect();
    lines.sort_by_key(|line| Reverse(line.stalls.total_ns));
    lines
}
