//! Who ended a wait, without its stacks.
//!
//! In: a waker as it was recorded. Out: nobody seen, an interrupt, or a process.

use super::interrupt;
use crate::profile::waits::Waker;
use crate::profile::{Pid, Profile};
use crate::render::who::with_pid;

/// Who ended a wait, without its stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ender {
    /// No program saw who ended it.
    Unseen,
    /// An interrupt.
    Interrupt,
    /// A process.
    Process(Pid),
}

impl Ender {
    /// The ender, from a waker.
    pub fn of(profile: &Profile, waker: Waker) -> Self {
        match waker {
            Waker::Unseen => Self::Unseen,
            Waker::Interrupt { .. } => Self::Interrupt,
            Waker::OnTop { pid, kernel } if interrupt::is_own_softirq(profile, kernel) => Self::Process(pid),
            Waker::OnTop { .. } => Self::Interrupt,
            Waker::Process { kernel, .. } if interrupt::is_on_top(profile, kernel) => Self::Interrupt,
            Waker::Process { pid, .. } => Self::Process(pid),
        }
    }

    /// Its name in tables and sentences; if it is `waiter`, then `itself`.
    pub fn name(self, profile: &Profile, waiter: Pid) -> String {
        match self {
            Self::Unseen => "unknown (not seen)".to_owned(),
            Self::Interrupt => "interrupt".to_owned(),
            Self::Process(pid) if pid == waiter => "itself".to_owned(),
            Self::Process(pid) => with_pid(profile, pid),
        }
    }
}
