//! The reference: what the thread did, as a plain list of one thing after the other.
//!
//! In: what it did, for how long. Out: the waits, and the parts of a call, by adding the list up.

use std::vec::Vec;

use profiler_common::part::{PARTS, Part};
use profiler_common::wait::Wait;

use super::model::Row;

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Running,
    /// With the wait that its row is of.
    Waiting(Wait),
}

/// A call of the thread.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub nr: u32,
    /// Its user stack.
    pub stack: u64,
    /// Where it began in the history.
    pub from: usize,
    /// When.
    pub began: u64,
    /// Which of all calls it is.
    pub id: u32,
}

impl Call {
    /// What it is if it ends where the history is now.
    pub fn ended(&self, history: &History) -> Ended {
        Ended { nr: self.nr, failed: false, parts: history.parts((self.from, history.len()), self.id) }
    }
}

/// A call that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub nr: u32,
    /// It ended where it was interrupted.
    pub failed: bool,
    pub parts: [u64; PARTS],
}

struct Done {
    call: Option<u32>,
    doing: Doing,
    ns: u64,
    /// Which of all calls that is.
    id: u32,
}

/// One thing after the other.
#[derive(Default)]
pub struct History(Vec<Done>);

impl History {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn add(&mut self, call: Option<u32>, doing: Doing, ns: u64, id: u32) {
        self.0.push(Done { call, doing, ns, id });
    }

    /// The parts of a call that took these places of the list. What others did there came while it was interrupted.
    pub fn parts(&self, (from, to): (usize, usize), id: u32) -> [u64; PARTS] {
        let mut parts = [0; PARTS];
        for done in &self.0[from..to] {
            let part = match done.doing {
                _ if done.id != id => Part::Interrupted,
                Doing::Running => Part::OnCpu,
                Doing::Waiting(Wait::Lock) => Part::LockSleep,
                Doing::Waiting(Wait::Sleep | Wait::Uninterruptible | Wait::Stopped) => Part::Sleep,
                Doing::Waiting(Wait::Woken) => Part::Woken,
                Doing::Waiting(Wait::Preempted) => Part::Preempted,
                Doing::Waiting(Wait::Throttled) => Part::Throttled,
            };
            parts[part as usize] += done.ns;
        }
        parts
    }

    /// All waits, in the order in which they ended.
    pub fn waits(&self) -> Vec<Row> {
        let waits = self.0.iter().filter_map(|done| match done.doing {
            Doing::Waiting(wait) if done.ns != 0 => Some((done.call, wait, done.ns)),
            _ => None,
        });
        waits.collect()
    }
}
