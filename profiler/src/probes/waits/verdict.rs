//! A class of waits, with what it rests on.
//!
//! In: verdicts with times. Out: sums of these, and the class with most of the time.

use crate::render::syscalls::CallClass;

/// What decided a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Who ended it, and how.
    Waker,
    /// Where it waited: its stacks or its state.
    Place,
    /// The call's name alone.
    Call,
}

impl Basis {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waker => "waker",
            Self::Place => "place",
            Self::Call => "call",
        }
    }
}

/// A class with what it rests on.
pub type Verdict = (CallClass, Basis);

/// Adds a time to that of its verdict.
pub fn add(sums: &mut Vec<(Verdict, u64)>, verdict: Verdict, ns: u64) {
    match sums.iter_mut().find(|(own, _)| *own == verdict) {
        Some(sum) => sum.1 = sum.1.saturating_add(ns),
        None => sums.push((verdict, ns)),
    }
}

/// The class with most of the time.
pub fn most(sums: &[u64; 3]) -> Option<CallClass> {
    let classes = [CallClass::Work, CallClass::UserLock, CallClass::Idle];
    classes.into_iter().filter(|class| sums[*class as usize] > 0).max_by_key(|class| sums[*class as usize])
}
