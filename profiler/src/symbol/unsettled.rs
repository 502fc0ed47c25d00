//! User stacks with an address that no mapping covered at first: the code was mapped a moment later, or the maps could
//! not be read at that moment.
//!
//! In: such stacks, as raw addresses. Out: the stacks that are due to be looked up again. The pauses double, because
//! broken frame pointers yield addresses that no mapping will ever cover.

use std::collections::VecDeque;

use crate::profile::Pid;
use crate::profile::stack::{FrameId, StackId};

/// Stacks that wait at most, a kilobyte each; what is over keeps its unnamed frames, which the ledger counts.
const STACKS: usize = 4096;
/// The longest pause, in rounds of about a second.
const PAUSE: u64 = 32;

/// A stack that waits.
#[derive(Debug)]
pub struct Waiting {
    /// Its key.
    pub id: StackId,
    /// Its process.
    pub pid: Pid,
    /// Leaf first, as the kernel side took them.
    pub addresses: Box<[u64]>,
    /// Its frames as they were handed out last.
    pub frames: Vec<FrameId>,
    /// Its root side is cut.
    pub truncated: bool,
    tries: u32,
    due: u64,
}

/// All that wait.
#[derive(Debug, Default)]
pub struct Unsettled {
    stacks: VecDeque<Waiting>,
    round: u64,
}

impl Unsettled {
    /// Keeps a stack that came just now, if there is room.
    pub fn keep(
        &mut self,
        id: StackId,
        pid: Pid,
        (addresses, frames): (&[u64], &[FrameId]),
        truncated: bool,
    ) {
        if self.stacks.len() < STACKS {
            let (addresses, frames) = (addresses.into(), frames.to_vec());
            let (tries, due) = (0, self.round + 1);
            self.stacks.push_back(Waiting { id, pid, addresses, frames, truncated, tries, due });
        }
    }

    /// Puts a stack back that was looked at in vain.
    pub fn put_back(&mut self, mut stack: Waiting) {
        stack.tries += 1;
        stack.due = self.round + (1 << stack.tries.min(63)).min(PAUSE);
        self.stacks.push_back(stack);
    }

    /// The process became another program: its stacks are of the one before.
    pub fn forget(&mut self, pid: Pid) {
        self.stacks.retain(|stack| stack.pid != pid);
    }

    /// Begins a round; takes out the stacks whose turn it is, in the last round all.
    pub fn take(&mut self, last: bool) -> Vec<Waiting> {
        self.round += 1;
        let round = self.round;
        let (due, rest): (Vec<_>, Vec<_>) =
            self.stacks.drain(..).partition(|stack| last || stack.due <= round);
        self.stacks = rest.into();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_double_and_the_last_round_takes_all() {
        let mut unsettled = Unsettled::default();
        unsettled.keep(StackId(1), Pid(7), (&[1, 2], &[]), false);
        let mut rounds = Vec::new();
        for round in 1..100 {
            for stack in unsettled.take(false) {
                rounds.push(round);
                unsettled.put_back(stack);
            }
        }
        assert_eq!(rounds, [1, 3, 7, 15, 31, 63, 95]);
        assert_eq!(unsettled.take(true).len(), 1);
    }

    #[test]
    fn what_is_over_the_bound_is_not_kept_and_an_exec_forgets() {
        let mut unsettled = Unsettled::default();
        for id in 0..STACKS as u64 + 5 {
            unsettled.keep(StackId(id), Pid(id as u32 % 2), (&[], &[]), false);
        }
        unsettled.forget(Pid(0));
        assert_eq!(unsettled.take(true).len(), STACKS / 2);
    }
}
