//! Which process stands for one that has ended.
//!
//! In: the chunks of a capture, in order. Out: for each interval the process that a row of it belongs to in the whole recording, where
//! ended processes are summed up by name; and how many intervals there are.

use std::collections::{BTreeSet, HashMap};

use crate::profile::folding::Keys;
use crate::profile::{Chunk, Pid, ProcessTable, StackId};

/// Processes that were summed up, by when.
#[derive(Debug, Default)]
pub struct Ended {
    processes: ProcessTable,
    /// Process → the last interval that it is in, and the process that stands for it from then on.
    folds: HashMap<Pid, Vec<(usize, Pid)>>,
    /// How many intervals there are.
    pub intervals: usize,
}

impl Ended {
    /// No process was summed up in so much time. An interval is a second or less: a window that times programs ends one, too.
    pub fn none_of(duration_ns: u64) -> Self {
        Self { intervals: (duration_ns / 500_000_000) as usize + 2, ..Self::default() }
    }

    /// Sees a chunk.
    pub fn look(&mut self, chunk: &Chunk) {
        let Chunk::Interval(interval) = chunk else { return };
        interval.processes.iter().for_each(|process| self.processes.see(process.clone()));
        for pid in &interval.ended {
            if let Some(fold) = self.processes.fold(*pid) {
                self.folds.entry(*pid).or_default().push((self.intervals, fold));
            }
        }
        if !interval.ended.is_empty() {
            self.processes.forget_folded(&BTreeSet::new());
        }
        self.intervals += 1;
    }

    /// What the keys of an interval's rows are in the whole recording.
    pub fn keys(&self, interval: usize) -> Later<'_> {
        Later { folds: &self.folds, interval }
    }
}

/// Keys of the whole recording for rows of one interval.
pub struct Later<'e> {
    folds: &'e HashMap<Pid, Vec<(usize, Pid)>>,
    interval: usize,
}

impl Keys for Later<'_> {
    fn pid(&self, pid: Pid) -> Pid {
        let folds = self.folds.get(&pid).map_or(&[][..], Vec::as_slice);
        let fold = folds.iter().find(|(last, _)| *last >= self.interval);
        fold.map_or(pid, |(_, fold)| *fold)
    }

    fn user(&self, _: Pid, stack: StackId) -> StackId {
        // Stacks that others stand for are found by their own ids, too.
        stack
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Interval, Process};

    #[test]
    fn a_pid_that_comes_again_is_another_process() {
        let process = |comm: &str| Process { pid: Pid(7), comm: comm.into(), ..Process::default() };
        let interval = |processes: Vec<Process>, ended: Vec<Pid>| {
            Chunk::Interval(Box::new(Interval { processes, ended, ..Interval::default() }))
        };
        let mut ended = Ended::default();
        ended.look(&interval(vec![process("sh")], vec![]));
        ended.look(&interval(vec![], vec![Pid(7)]));
        ended.look(&interval(vec![process("cat")], vec![]));
        let of = |at| ended.keys(at).pid(Pid(7));
        assert!(of(0) != Pid(7) && of(0) == of(1), "{:?}", of(0));
        assert_eq!((of(2), ended.intervals), (Pid(7), 3));
    }
}
