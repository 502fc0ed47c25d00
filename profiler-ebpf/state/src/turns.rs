//! The last turns of threads on one CPU.
//!
//! In: each switch of this CPU. Out: how long each thread ran during a wait for this CPU.

use crate::field::Field;

/// Turns that a CPU remembers, a power of two.
pub const REMEMBERED: usize = 32;

/// The last turns on one CPU. Only this CPU's switches write here.
#[repr(C)]
pub struct Turns {
    /// How many there were.
    count: Field<u64>,
    /// By that count.
    turns: [Kept; REMEMBERED],
}

#[repr(C)]
struct Kept {
    task: Field<u64>,
    until_ns: Field<u64>,
    tgid: Field<u32>,
    pad: Field<u32>,
}

/// A thread's turn on the CPU; it began when the one before ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The task's address.
    pub task: u64,
    /// When it left, ns.
    pub until_ns: u64,
    /// Its process.
    pub tgid: u32,
}

impl Turns {
    #[inline(always)]
    fn at(&self, count: u64) -> &Kept {
        &self.turns[count as usize & (REMEMBERED - 1)]
    }

    /// A thread leaves this CPU.
    #[inline(always)]
    pub fn add(&self, turn: &Turn) {
        let count = self.count.get();
        let kept = self.at(count);
        kept.task.set(turn.task);
        kept.until_ns.set(turn.until_ns);
        kept.tgid.set(turn.tgid);
        self.count.set(count.wrapping_add(1));
    }

    /// Shares a wait from `since` to `now` among the turns in it, the latest first. False: some of it was before the
    /// turns that are remembered.
    #[inline(always)]
    pub fn share(&self, since: u64, now: u64, mut give: impl FnMut(&Turn, u64)) -> bool {
        let (mut end, count) = (now, self.count.get());
        for back in 1..REMEMBERED as u64 {
            if end <= since || count < back + 1 {
                break;
            }
            let kept = self.at(count.wrapping_sub(back));
            let turn = Turn { task: kept.task.get(), until_ns: kept.until_ns.get(), tgid: kept.tgid.get() };
            let before = self.at(count.wrapping_sub(back + 1)).until_ns.get();
            let begin = if before > since { before } else { since };
            give(&turn, end.saturating_sub(begin));
            end = begin;
        }
        end <= since
    }
}
