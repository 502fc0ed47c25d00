//! The state machines against slow, obvious references, over random sequences.
//!
//! In: seeds, always the same. Out: the sequence in which both differ.

mod calls;
mod chain;
mod driver;
mod history;
mod lock_waits;
mod model;
mod parts;
mod peer;
mod pending;
mod restarts;
mod seeded;
mod signals;
mod turns;

use crate::thread::Thread;

/// A thread that was never seen.
fn new_thread() -> Thread {
    // SAFETY: all words of a thread are integers, and any bits are their value; so does the kernel make one.
    unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
}

/// Numbers that look random: xorshift64*.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }

    /// True so many times in 100.
    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
