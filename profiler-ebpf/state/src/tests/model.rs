//! A model of a thread's surroundings: the kernel's counts of it, always true, and the rows that come out.
//!
//! In: what the test sets. Out: what the state machines ask for, and what they gave.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::vec::Vec;

use profiler_common::outcome::Outcome;
use profiler_common::wait::Wait;

use crate::thread::Thread;
use crate::unseen;
use crate::world::World;

/// A wait that came out: the call it was in, what it was, how long.
pub type Row = (Option<u32>, Wait, u64);

/// The surroundings. All times are multiples of 1,024 ns, which the accounts are kept in.
#[derive(Default)]
pub struct Model {
    pub switches: Cell<u64>,
    pub state: Cell<u32>,
    pub throttled: Cell<bool>,
    pub ran: Cell<u64>,
    pub queued: Cell<u64>,
    pub rows: RefCell<Vec<Row>>,
    pub counts: RefCell<BTreeMap<Outcome, u64>>,
    pub stacks: Cell<u64>,
}

impl Model {
    pub fn counted(&self, outcome: Outcome) -> u64 {
        self.counts.borrow().get(&outcome).copied().unwrap_or_default()
    }

    fn row(&self, thread: &Thread, wait: u32, ns: u64) {
        let call = thread.in_call().then(|| thread.nr.get());
        if ns != 0 {
            self.rows.borrow_mut().push((call, Wait::ALL[wait as usize], ns));
        }
    }
}

impl World for Model {
    fn switches(&self) -> u64 {
        self.switches.get()
    }
    fn state(&self) -> u32 {
        self.state.get()
    }
    fn is_throttled(&self) -> bool {
        self.throttled.get()
    }
    fn accounts(&self) -> (u64, u64) {
        (self.ran.get(), self.queued.get())
    }
    fn stack(&self) -> u64 {
        self.stacks.set(self.stacks.get() + 1);
        self.stacks.get()
    }
    fn follows_all(&self) -> bool {
        true
    }
    fn counts_switches(&self) -> bool {
        true
    }
    fn has_accounts(&self) -> bool {
        true
    }
    fn wants_blocked(&self) -> bool {
        true
    }
    fn is_early(&self) -> bool {
        false
    }
    fn wait_min_ns(&self) -> u64 {
        16 << 10
    }
    fn count(&self, outcome: Outcome) {
        *self.counts.borrow_mut().entry(outcome).or_default() += 1;
    }
    fn blocked(&self, thread: &Thread, ns: u64, _kernel: u64) {
        self.row(thread, u32::from(thread.slice.wait.get()), ns);
    }
    fn queued(&self, thread: &Thread, wait: u32, since: u64, now: u64) {
        self.row(thread, wait, now - since);
    }
    fn queued_unseen(&self, thread: &Thread, wait: u32, ns: u64) {
        self.row(thread, wait, ns);
    }
    fn recover(&self, thread: &Thread, now: u64) {
        unseen::recover(self, thread, now);
    }
}
