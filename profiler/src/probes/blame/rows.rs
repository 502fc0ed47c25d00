//! Rows of long waits by who is to blame.
//!
//! In: deltas of one interval. Out: totals; `add` is the only operation.

use std::collections::BTreeMap;

pub use profiler_common::chain::How;
pub use profiler_common::user_lock::Told;
use serde::{Deserialize, Serialize};

use crate::profile::call::CallNumber;
use crate::profile::folding::{Keys, rekey};
use crate::profile::process::{Pid, Tid};
use crate::profile::row_set::{ENTRY, RowSet};
use crate::profile::stack::StackId;
use crate::profile::wait::Wait;

/// Who held a lock of user space when a wait for it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct LockHolder {
    /// How that is known, or why it is not.
    pub told: Told,
    /// Process; 0: nobody is named.
    pub pid: Pid,
    /// Thread; where nobody is named, the number that the lock keeps, in a pid namespace of its own.
    pub tid: Tid,
    /// It was ending when it was looked for.
    pub ending: bool,
    /// The thread's name, raw, NUL padded.
    pub comm: [u64; 2],
}

impl LockHolder {
    /// The thread's name, raw.
    pub fn name(&self) -> String {
        let bytes = self.comm.map(u64::to_ne_bytes).concat();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    /// Its process, where somebody is named.
    pub fn process(&self) -> Option<Pid> {
        (self.told.unknown().is_none() && self.pid != Pid(0)).then_some(self.pid)
    }
}

/// Which waits a [`HeldRow`] sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HeldKey {
    /// Process that waited.
    pub pid: Pid,
    /// Address of the lock; 0 where nobody is named.
    pub lock: u64,
    /// Who held it.
    pub holder: LockHolder,
}

/// Long waits for one lock and holder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeldRow {
    /// Waits.
    pub waits: u64,
    /// Sum of waits, ns.
    pub total_ns: u64,
    /// Longest wait, ns.
    pub max_ns: u64,
    /// Waits that the holder ended.
    pub ended_by_holder: u64,
}

/// A link of wait chains: a process, what it waited for, and the link that explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkKey {
    /// Its id.
    pub link: u64,
    /// Id of the link that explains it; 0: none.
    pub parent: u64,
    /// What is said of the rest.
    pub how: How,
    /// Process that waited.
    pub pid: Pid,
    /// The process is outside the target.
    pub outside: bool,
    /// The system call it was in; none outside of calls.
    pub nr: Option<CallNumber>,
    /// What it waited for.
    pub wait: Wait,
    /// Kernel stack of the wait.
    pub kernel: StackId,
}

/// Waits of one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkRow {
    /// Waits that this parent explains most of.
    pub waits: u64,
    /// Their sum, ns.
    pub total_ns: u64,
    /// What the parent explains of it, ns.
    pub explained_ns: u64,
    /// Time that the parent explains in other waits, most of whose time another link explains, ns.
    pub also_ns: u64,
}

/// Long waits by who is to blame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlameRows {
    /// Links of wait chains.
    pub links: BTreeMap<LinkKey, LinkRow>,
    /// Waits for locks of user space, by lock and holder.
    pub held: BTreeMap<HeldKey, HeldRow>,
}

impl HeldRow {
    /// Adds other waits.
    pub fn add(&mut self, other: &Self) {
        self.waits = self.waits.saturating_add(other.waits);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.ended_by_holder = self.ended_by_holder.saturating_add(other.ended_by_holder);
    }
}

impl LinkRow {
    /// Adds other waits.
    pub fn add(&mut self, other: &Self) {
        self.waits = self.waits.saturating_add(other.waits);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.explained_ns = self.explained_ns.saturating_add(other.explained_ns);
        self.also_ns = self.also_ns.saturating_add(other.also_ns);
    }
}

impl BlameRows {
    /// Gives locks other addresses.
    pub fn rewrite_locks(&mut self, new: &mut dyn FnMut(u64) -> u64) {
        for (key, row) in std::mem::take(&mut self.held) {
            self.held.entry(HeldKey { lock: new(key.lock), ..key }).or_default().add(&row);
        }
    }
}

impl RowSet for BlameRows {
    fn add(&mut self, delta: &Self) {
        let Self { links, held } = delta;
        for (key, row) in links {
            self.links.entry(*key).or_default().add(row);
        }
        for (key, row) in held {
            self.held.entry(*key).or_default().add(row);
        }
    }

    fn weigh(&self) -> u64 {
        let Self { links, held } = self;
        (links.len() + held.len()) as u64 * ENTRY
    }

    fn stacks(&self, each: &mut dyn FnMut(StackId)) {
        let Self { links, held: _ } = self;
        links.keys().for_each(|key| each(key.kernel));
    }

    fn rekey(&mut self, keys: &dyn Keys) {
        let new = |key: &HeldKey| HeldKey {
            pid: keys.pid(key.pid),
            holder: LockHolder { pid: keys.pid(key.holder.pid), ..key.holder },
            ..*key
        };
        rekey(&mut self.held, new, HeldRow::add);
        let new = |key: &LinkKey| LinkKey { pid: keys.pid(key.pid), kernel: keys.kernel(key.kernel), ..*key };
        rekey(&mut self.links, new, LinkRow::add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_named_without_a_process_or_with_a_reason() {
        let holder = |told, pid| LockHolder { told, pid: Pid(pid), ..LockHolder::default() };
        assert_eq!(holder(Told::Glibc, 7).process(), Some(Pid(7)));
        assert_eq!(holder(Told::Glibc, 0).process(), None);
        assert_eq!(holder(Told::Ended, 7).process(), None);
        let named = LockHolder { comm: [u64::from_ne_bytes(*b"worker\0\0"), 0], ..holder(Told::Glibc, 7) };
        assert_eq!(named.name(), "worker");
    }

    #[test]
    fn locks_whose_addresses_become_one_are_summed() {
        let key = |lock| HeldKey { pid: Pid(7), lock, holder: LockHolder::default() };
        let row = HeldRow { waits: 1, total_ns: 5, max_ns: 5, ended_by_holder: 1 };
        let mut rows = BlameRows { held: [(key(1), row), (key(2), row)].into(), ..BlameRows::default() };
        rows.rewrite_locks(&mut |_| 9);
        assert_eq!(rows.held[&key(9)], HeldRow { waits: 2, total_ns: 10, max_ns: 5, ended_by_holder: 2 });
    }
}
