//! Ended processes as one: by name and container, with all their counts.
//!
//! In: processes that have ended. Out: other keys for rows that name them: the process that stands for all of one name, and
//! one user stack for those with the same frames. What is summed stays the same.

use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::process::{Pid, ProcessTable};
use super::stack::{StackId, StackTable};

/// Other keys for rows.
pub trait Keys {
    /// The process of a row.
    fn pid(&self, pid: Pid) -> Pid;

    /// A user stack of a process.
    fn user(&self, pid: Pid, stack: StackId) -> StackId;

    /// A kernel stack.
    fn kernel(&self, stack: StackId) -> StackId {
        stack
    }
}

/// Gives rows other keys; rows that come together are added up.
pub fn rekey<K: Ord + Copy, R>(rows: &mut BTreeMap<K, R>, new: impl Fn(&K) -> K, add: impl Fn(&mut R, &R)) {
    let moved: Vec<(K, K)> =
        rows.keys().map(|key| (*key, new(key))).filter(|(old, new)| old != new).collect();
    for (old, new) in moved {
        let Some(row) = rows.remove(&old) else { continue };
        match rows.entry(new) {
            Entry::Vacant(free) => {
                free.insert(row);
            }
            Entry::Occupied(mut known) => add(known.get_mut(), &row),
        }
    }
}

/// Ended processes, each with the one that stands for it, and what their stacks became.
pub struct Folding<'s> {
    pids: HashMap<Pid, Pid>,
    stacks: RefCell<(&'s mut StackTable, HashMap<StackId, StackId>)>,
}

impl<'s> Folding<'s> {
    /// Of processes that the table knows; others are left as they are.
    pub fn new(ended: &[Pid], processes: &mut ProcessTable, stacks: &'s mut StackTable) -> Self {
        let pids = ended.iter().filter_map(|pid| Some((*pid, processes.fold(*pid)?))).collect();
        Self { pids, stacks: RefCell::new((stacks, HashMap::new())) }
    }

    /// How many there are.
    pub fn processes(&self) -> u64 {
        self.pids.len() as u64
    }

    /// Ends it: stacks that no row has any more are gone. How many had no room.
    pub fn finish(self) -> u64 {
        let (stacks, moved) = self.stacks.into_inner();
        let dropped = moved.values().filter(|new| **new == StackId::DROPPED).count() as u64;
        stacks.remove(moved.into_iter().filter(|(old, new)| old != new));
        dropped
    }
}

impl Keys for Folding<'_> {
    fn pid(&self, pid: Pid) -> Pid {
        self.pids.get(&pid).copied().unwrap_or(pid)
    }

    fn user(&self, pid: Pid, stack: StackId) -> StackId {
        if stack == StackId::NONE || !self.pids.contains_key(&pid) {
            return stack;
        }
        let (stacks, moved) = &mut *self.stacks.borrow_mut();
        *moved.entry(stack).or_insert_with(|| stacks.alike(stack).unwrap_or(StackId::DROPPED))
    }
}

/// Rows of stacks that there is no room for: all become one.
pub struct Dropped<F>(pub F);

impl<F: Fn(StackId) -> bool> Keys for Dropped<F> {
    fn pid(&self, pid: Pid) -> Pid {
        pid
    }

    fn user(&self, _: Pid, stack: StackId) -> StackId {
        self.kernel(stack)
    }

    fn kernel(&self, stack: StackId) -> StackId {
        if stack == StackId::NONE || self.0(stack) { stack } else { StackId::DROPPED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_come_together_are_added_up_and_others_stay() {
        let mut rows: BTreeMap<u32, u64> = [(1, 10), (2, 20), (3, 30), (9, 1)].into();
        rekey(&mut rows, |key| if *key < 4 { 9 } else { *key }, |sum, row| *sum += row);
        assert_eq!(rows, [(9, 61)].into());
    }
}
