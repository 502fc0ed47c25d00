//! What long waits waited for, by their stacks.
//!
//! In: rows of waits and the stacks of the long ones. Out: each row's time by stack, and a word for a stack.

use std::collections::HashMap;

use crate::profile::waits::{WaitKey, WaitStackKey, Waker};
use crate::profile::{Profile, StackId, Wait, WaitRows};
use crate::render::name::kernel_functions;
use crate::render::telling::telling_function;
use crate::render::{cause, locks};

/// The place of a wait that was too short for a stack.
pub const SHORT: &str = "short waits";

/// The stacks of a row, each with its part of the row's `whole` time, and what is left: never more than the whole,
/// though a hostile capture may say more than there is.
pub fn stacks<'p>(waits: &'p WaitRows, key: &WaitKey, whole: u64) -> (Vec<(&'p WaitStackKey, u64)>, u64) {
    let first = WaitStackKey { row: *key, kernel: StackId(0), user: StackId(0), waker: Waker::Unseen };
    let range = waits.stacks.range(first..).take_while(|(stack, _)| stack.row == *key);
    let mut left = whole;
    let stacks = range
        .map(|(stack, row)| {
            let ns = row.total_ns.min(left);
            left -= ns;
            (stack, ns)
        })
        .collect();
    (stacks, left)
}

/// What waits were on, found once per stack.
pub struct Places<'p> {
    profile: &'p Profile,
    known: HashMap<(StackId, bool), &'p str>,
}

impl<'p> Places<'p> {
    /// None found yet.
    pub fn new(profile: &'p Profile) -> Self {
        Self { profile, known: HashMap::new() }
    }

    /// A word such as `pipe` or `disk`, else a function, else `unknown` with the reason.
    pub fn of(&mut self, key: &WaitStackKey) -> &'p str {
        if key.row.wait == Wait::Lock {
            return "kernel lock";
        }
        let (profile, in_call) = (self.profile, key.row.nr.is_some());
        self.known.entry((key.kernel, in_call)).or_insert_with(|| {
            let functions: Vec<_> = kernel_functions(&profile.stacks, key.kernel).map(locks::base).collect();
            let cause = match in_call {
                true => cause::of(functions.iter().copied()),
                false => cause::outside_calls(&functions),
            };
            cause.or_else(|| telling_function(profile, key.kernel)).unwrap_or(match key.kernel {
                StackId::NONE => "unknown (no stack)",
                _ => "unknown (no names)",
            })
        })
    }
}
