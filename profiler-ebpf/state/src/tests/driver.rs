//! One thread that does things at random, seen by the state machines as the kernel's hooks would tell them.
//!
//! In: a seed, and how often hooks do not run. Out: the machines' records, and the history of what the thread really did.

use profiler_common::processor::{RESTART_SYSCALL, RT_SIGRETURN};
use profiler_common::syscall::verdict;
use profiler_common::wait::Wait;

use super::history::{Call, Doing, Ended, History};
use super::model::Model;
use super::signals::{Frame, Program};
use super::{Random, new_thread};
use crate::restart::{self, Next, Over};
use crate::slot::Slot;
use crate::thread::{Thread, flag};
use crate::{away, call};

const UNIT: u64 = 1 << 10;
const LOCK: u64 = 0xffff_8000_0000_1000;

/// Outside of calls.
const NO_CALL: u32 = 0;

pub struct Driver {
    pub world: Model,
    pub thread: Thread,
    pub history: History,
    slot: Slot,
    random: Random,
    now: u64,
    /// The call it is in.
    call: Option<Call>,
    /// How many calls it has made.
    calls: u32,
    /// What its signals do.
    program: Program,
    /// Of 100 switch-ins, and of 100 switch-outs, that no program sees.
    unseen: (u64, u64),
}

impl Driver {
    pub fn new(seed: u64, unseen: (u64, u64)) -> Self {
        // SAFETY: all words of a slot are integers.
        let slot: Slot = unsafe { core::mem::MaybeUninit::zeroed().assume_init() };
        Self {
            world: Model::default(),
            thread: new_thread(),
            history: History::default(),
            slot,
            random: Random::new(seed),
            now: 1 << 20,
            call: None,
            calls: 0,
            program: Program::default(),
            unseen,
        }
    }

    /// Does one thing. Calls that are over by that: as the machines have them, and as they were.
    pub fn step(&mut self) -> Option<(Ended, Ended)> {
        self.run();
        match self.call {
            Some(_) if self.random.percent(50) => self.away(),
            Some(call) if call.nr != RT_SIGRETURN && self.random.percent(30) => return self.is_interrupted(),
            Some(_) => return self.exit(),
            None if self.random.percent(30) => self.away(),
            None if self.program.is_before_restart() => return self.goes_on(),
            None => return self.in_program(),
        }
        None
    }

    fn ns(&mut self) -> u64 {
        self.random.below(40) * UNIT
    }

    fn add(&mut self, doing: Doing, ns: u64) {
        self.now += ns;
        let nr = self.call.as_ref().map(|call| call.nr);
        let id = self.call.as_ref().map_or(NO_CALL, |call| call.id);
        self.history.add(nr, doing, ns, id);
    }

    fn run(&mut self) {
        let ns = self.ns();
        self.world.ran.set(self.world.ran.get() + ns);
        self.add(Doing::Running, ns);
    }

    /// The thread leaves the CPU, and comes back.
    fn away(&mut self) {
        let wait = Wait::ALL[self.random.below(7) as usize];
        let wait = if wait == Wait::Woken { Wait::Sleep } else { wait };
        let state = match wait {
            Wait::Sleep => 1,
            Wait::Uninterruptible | Wait::Lock => 2,
            Wait::Stopped => 4,
            Wait::Woken | Wait::Preempted | Wait::Throttled => 0,
        };
        if wait == Wait::Lock {
            self.thread.waits.at(0).prepare(0, false, 1);
            self.thread.waits.at(0).open(LOCK, self.now);
        }
        let left_seen = self.leave(wait, state);
        let mut queue = wait;
        let (mut woken_seen, ns) = (true, self.ns());
        if state != 0 {
            self.add(Doing::Waiting(wait), ns);
            queue = if self.random.percent(20) { Wait::Throttled } else { Wait::Woken };
            self.world.throttled.set(queue == Wait::Throttled);
            // A wakeup that nobody saw is told by the time the thread ran since, as of the end of the call that it is in.
            woken_seen = queue == Wait::Throttled
                || self.call.is_none()
                || self.unseen.0 == 0
                || self.random.percent(70);
            if woken_seen {
                away::woken(&self.world, &self.thread, || self.now);
            }
        }
        let ns = self.ns();
        self.world.queued.set(self.world.queued.get() + ns);
        self.add(Doing::Waiting(queue), ns);
        let unseen = self.random.percent(self.unseen.0) || !woken_seen;
        if !unseen || wait == Wait::Throttled && left_seen {
            away::comes_back(&self.world, &self.thread, self.now);
        }
        if wait == Wait::Lock {
            self.thread.waits.clear();
        }
    }

    fn leave(&mut self, wait: Wait, state: u32) -> bool {
        self.world.switches.set(self.world.switches.get() + 1);
        self.world.state.set(state);
        self.world.throttled.set(wait == Wait::Throttled);
        if self.random.percent(self.unseen.1) {
            return false;
        }
        if self.slot.is_calling() {
            call::moves(&self.world, &self.thread, &self.slot, self.world.switches.get() - 1);
        }
        self.slot.verdict.set(verdict::UNKNOWN);
        away::leaves(&self.world, &self.thread, wait == Wait::Preempted, self.now);
        true
    }

    /// The call ends for the machines, in the thread's record.
    fn ends(&mut self) {
        if self.slot.is_calling() {
            call::moves(&self.world, &self.thread, &self.slot, self.world.switches.get());
        }
        call::ends(&self.world, &self.thread, self.now);
    }

    fn exit(&mut self) -> Option<(Ended, Ended)> {
        // A short call that the slot holds: nobody looks at its parts.
        if self.slot.is_calling() && self.random.percent(50) {
            self.slot.in_call.set(0);
            self.call = None;
            return None;
        }
        self.ends();
        let call = self.call.take()?;
        let truth = call.ended(&self.history);
        let found = self.settled(call.nr, self.now - call.began, false);
        if call.nr == RT_SIGRETURN {
            let (stack, nr) = self.program.handler_returns();
            restart::at_sigreturn(&self.thread, Some(stack), nr);
        }
        Some((found, truth))
    }

    /// The machines' own parts of a call that is over.
    fn settled(&self, nr: u32, wall_ns: u64, failed: bool) -> Ended {
        assert!(self.thread.parts.settle(wall_ns), "more parts than wall time");
        Ended { nr, failed, parts: core::array::from_fn(|part| self.thread.parts.ns[part].get()) }
    }

    fn failed(&self, over: Over) -> Ended {
        self.settled(over.nr, over.wall_ns, true)
    }

    fn is_interrupted(&mut self) -> Option<(Ended, Ended)> {
        self.ends();
        let call = self.call.take()?;
        let errno = [512, 513, 514, 516][self.random.below(4) as usize];
        let over = restart::at_exit(&self.thread, self.now, Some(call.stack), -errno);
        let before = self.program.interrupt(Frame { call, errno, to: self.history.len() });
        // Only one can wait: the one below is over for the machines, and stays what it was.
        let found = over.map(|over| self.failed(over));
        let truth = before.map(|frame| frame.failed(&self.history));
        assert_eq!(found.is_some(), truth.is_some(), "whose call was interrupted before");
        found.zip(truth)
    }

    /// Behind an interrupted call: a handler runs, or the call goes on.
    fn goes_on(&mut self) -> Option<(Ended, Ended)> {
        if self.random.percent(60) {
            return self.handler_begins();
        }
        let Frame { call, errno, .. } = self.program.restarts()?;
        let nr = if errno == 516 { RESTART_SYSCALL } else { call.nr };
        assert_eq!(restart::next(&self.thread, nr, Some(call.stack)), Next::Restart);
        call::begins(&self.world, &self.thread, (nr, self.now), true);
        assert_eq!(self.thread.enter_ns.get(), call.began, "the restart is a call of its own");
        self.call = Some(call);
        None
    }

    fn handler_begins(&mut self) -> Option<(Ended, Ended)> {
        let action = self.random.below(4);
        let fails = restart::at_handler(&self.thread, Program::flags(action));
        let truth = self.program.handler_begins(action);
        assert_eq!(fails, truth.is_some(), "whether the handler makes it fail");
        truth.map(|frame| (self.failed(restart::take(&self.thread)), frame.failed(&self.history)))
    }

    /// The program, or a handler of it, does what it likes.
    fn in_program(&mut self) -> Option<(Ended, Ended)> {
        let what = if self.program.is_in_handler() { self.random.below(8) } else { 7 };
        match what {
            0 if self.program.below() < 4 => self.handler_begins(),
            1 | 2 => self.enter(RT_SIGRETURN, self.program.stack()),
            3 => {
                let level = self.random.below(self.program.below() as u64) as usize;
                self.program.jumps(level);
                None
            }
            _ => {
                let nr = 20 + self.random.below(5) as u32;
                self.enter(nr, self.program.stack())
            }
        }
    }

    fn enter(&mut self, nr: u32, stack: u64) -> Option<(Ended, Ended)> {
        let left = self.program.left(stack);
        let mut over = None;
        if self.thread.is(flag::INTERRUPTED) {
            let next = restart::next(&self.thread, nr, Some(stack));
            let expected = if left.is_some() { Next::Other } else { Next::OfHandler };
            assert_eq!(next, expected, "call {nr} at {stack:x}");
            over = left.map(|frame| (self.failed(restart::take(&self.thread)), frame.failed(&self.history)));
        } else {
            assert!(left.is_none(), "a call that was left is forgotten");
        }
        self.calls += 1;
        self.begin(Call { nr, stack, from: self.history.len(), began: self.now, id: self.calls });
        over
    }

    fn begin(&mut self, call: Call) {
        if !self.thread.is(flag::INTERRUPTED) && self.random.percent(70) {
            self.thread.flags.set(flag::KNOWN);
            self.slot.verdict.set(verdict::INSIDE);
            self.slot.enter(call.nr, self.now);
        } else {
            call::begins(&self.world, &self.thread, (call.nr, self.now), false);
        }
        self.call = Some(call);
    }
}
