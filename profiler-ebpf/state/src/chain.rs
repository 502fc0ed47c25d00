//! A thread's last long waits, for the chains of the waits that it ends.
//!
//! In: long waits as they end. Out: how much of another wait each of them covers.

use profiler_common::chain::NO_LINK;

use crate::field::Field;

/// Long waits that a thread remembers.
pub const REMEMBERED: usize = 4;

/// A thread's last long waits.
#[repr(C)]
pub struct Recent {
    pub(crate) waits: [Past; REMEMBERED],
    /// How many there were.
    count: Field<u64>,
}

/// One of them.
#[repr(C)]
pub(crate) struct Past {
    begin_ns: Field<u64>,
    end_ns: Field<u64>,
    /// Its link.
    pub link: Field<u64>,
    /// The thread at the root of its chain.
    pub root: Field<u32>,
    /// Links of its chain.
    pub depth: Field<u32>,
}

/// A wait of a thread that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When it began, ns.
    pub begin_ns: u64,
    /// When it ended, ns.
    pub end_ns: u64,
    /// Its link.
    pub link: u64,
    /// The thread at the root of its chain.
    pub root: u32,
    /// Links of its chain.
    pub depth: u32,
}

impl Recent {
    /// Remembers a wait in the place of the oldest.
    #[inline(always)]
    pub fn add(&self, wait: &Wait) {
        let count = self.count.get();
        let past = &self.waits[count as usize & (REMEMBERED - 1)];
        past.link.set(NO_LINK);
        past.begin_ns.set(wait.begin_ns);
        past.end_ns.set(wait.end_ns);
        past.root.set(wait.root);
        past.depth.set(wait.depth);
        past.link.set(wait.link);
        self.count.set(count.wrapping_add(1));
    }
}

impl Past {
    /// How much of the time from `begin` to `end` it covers.
    #[inline(always)]
    pub fn within(&self, begin: u64, end: u64) -> u64 {
        let (from, to) = (self.begin_ns.get(), self.end_ns.get());
        let from = if from > begin { from } else { begin };
        let to = if to < end { to } else { end };
        if self.link.get() == NO_LINK { 0 } else { to.saturating_sub(from) }
    }
}
