//! The reference for signals: which handlers run, on which stacks, and what becomes of the call that waits below them.
//!
//! In: interruptions, handlers, their returns and jumps. Out: which call is restarted, which has failed, and which was left.

use std::vec;
use std::vec::Vec;

use super::history::{Call, Ended, History};

/// Where the user stack of the program is, and the stack of its own that handlers may have.
const STACK: u64 = 0x7ffe_0000;
const OWN: u64 = 0x7fff_0000;
/// No call's number.
const NONE: u32 = 1000;
/// A handler's frame.
const FRAME: u64 = 0x1000;

/// An interrupted call.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub call: Call,
    pub errno: i64,
    /// Where the history was when it was interrupted.
    pub to: usize,
}

impl Frame {
    /// It ended there.
    pub fn failed(&self, history: &History) -> Ended {
        let parts = history.parts((self.call.from, self.to), self.call.id);
        Ended { nr: self.call.nr, failed: true, parts }
    }
}

/// How far the interrupted call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No handler has run.
    Direct,
    /// A handler runs.
    Handled,
    /// It has returned.
    Returned,
    /// It has jumped away.
    Left,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    frame: Frame,
    state: State,
    /// Which of the stacks it is on.
    level: usize,
    /// A handler on top of it has a stack of its own.
    elsewhere: bool,
}

/// What a program's signals have done to it.
#[derive(Debug)]
pub struct Program {
    /// Stack pointers: of the program, and of each handler on top.
    levels: Vec<u64>,
    waiting: Option<Waiting>,
}

impl Default for Program {
    fn default() -> Self {
        Self { levels: vec![STACK], waiting: None }
    }
}

impl Program {
    /// The flags of a signal's action, of the four kinds that matter.
    pub fn flags(action: u64) -> u64 {
        (action & 1) * 0x1000_0000 + (action >> 1 & 1) * 0x0800_0000
    }

    /// Its stack pointer.
    pub fn stack(&self) -> u64 {
        self.levels[self.levels.len() - 1]
    }

    /// Whether a handler runs.
    pub fn is_in_handler(&self) -> bool {
        self.levels.len() > 1
    }

    /// Whether the next thing it does is to go on with an interrupted call, if no handler runs first.
    pub fn is_before_restart(&self) -> bool {
        self.state().is_some_and(|state| matches!(state, State::Direct | State::Returned))
    }

    fn state(&self) -> Option<State> {
        self.waiting.map(|waiting| waiting.state)
    }

    /// A call is interrupted. The one that waited below, which nobody follows any more.
    pub fn interrupt(&mut self, frame: Frame) -> Option<Frame> {
        let level = self.levels.len() - 1;
        let waiting = Waiting { frame, state: State::Direct, level, elsewhere: false };
        self.waiting.replace(waiting).map(|before| before.frame)
    }

    /// A handler begins, in the place of the restart or on top of another one: the call that fails by that.
    pub fn handler_begins(&mut self, action: u64) -> Option<Frame> {
        let (restarts, own) = (action & 1 != 0, action & 2 != 0);
        let fails = self.waiting.is_some_and(|waiting| {
            waiting.state == State::Direct
                && match waiting.frame.errno {
                    512 => !restarts,
                    513 => false,
                    _ => true,
                }
        });
        if let Some(waiting) = self.waiting.as_mut().filter(|waiting| waiting.state != State::Left) {
            waiting.state = State::Handled;
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.elsewhere |= own;
        }
        let stack = if own { OWN - FRAME * self.levels.len() as u64 } else { self.stack() - FRAME };
        self.levels.push(stack);
        if fails { self.waiting.take().map(|waiting| waiting.frame) } else { None }
    }

    /// `rt_sigreturn` ends: where the stack is then, and which call the program is about to make.
    pub fn handler_returns(&mut self) -> (u64, u32) {
        self.levels.pop();
        let level = self.levels.len() - 1;
        if let Some(waiting) = &mut self.waiting
            && waiting.state == State::Handled
            && waiting.level == level
        {
            (waiting.state, waiting.elsewhere) = (State::Returned, false);
            let nr = waiting.frame.call.nr;
            return (self.stack(), nr);
        }
        (self.stack(), NONE)
    }

    /// The handler jumps to one of the stacks below.
    pub fn jumps(&mut self, level: usize) {
        self.levels.truncate(level + 1);
        if let Some(waiting) = &mut self.waiting
            && level <= waiting.level
        {
            waiting.state = State::Left;
        }
    }

    /// How many stacks there are below.
    pub fn below(&self) -> usize {
        self.levels.len() - 1
    }

    /// The call that is restarted now.
    pub fn restarts(&mut self) -> Option<Frame> {
        self.waiting.take().map(|waiting| waiting.frame)
    }

    /// A call begins at `stack`: the call that was left, if this shows it. On handlers' own stacks only its very place does.
    pub fn left(&mut self, stack: u64) -> Option<Frame> {
        let waiting = self.waiting?;
        let shows = if waiting.elsewhere {
            stack == waiting.frame.call.stack
        } else {
            stack >= waiting.frame.call.stack
        };
        assert!(
            !shows || waiting.state == State::Left,
            "a handler's call at the place of what it interrupted"
        );
        if shows { self.restarts() } else { None }
    }
}
