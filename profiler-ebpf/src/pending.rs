//! Long waits of a call that have no user stack yet: plain records, a leaf.
//!
//! In: waits that ended. Out: sums of a few kinds, kept in the thread's record until its call ends.

use profiler_common::wait::Waker;

/// Kinds of waits a thread keeps, by stack and waker. With one more, a thread's state in task storage would take
/// 2 KiB instead of 1.
const KINDS: usize = 3;

/// Those of one call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pending {
    kinds: [Kind; KINDS],
}

/// Waits of one kind.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Kind {
    /// Kernel stack.
    pub kernel: u64,
    /// Who ended them.
    pub waker: Waker,
    /// Their sum, ns.
    pub total_ns: u64,
    /// The longest, ns.
    pub max_ns: u64,
    /// How many; 0 = free.
    pub waits: u32,
    /// What for, in which call (`profiler_common::wait::pack`).
    pub packed: u32,
}

impl Pending {
    /// Keeps a wait; false when there is no room for its kind. No loop: verifiers of old kernels lose the bounds of
    /// one.
    #[inline(always)]
    pub fn keep(&mut self, one: &Kind) -> bool {
        let [first, second, third] = &mut self.kinds;
        first.keep(one) || second.keep(one) || third.keep(one)
    }

    /// Whether nothing is kept.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.kinds[0].waits == 0
    }

    /// Hands out what is kept, and forgets it.
    #[inline(always)]
    pub fn drain(&mut self, mut give: impl FnMut(&Kind)) {
        let [first, second, third] = &mut self.kinds;
        for kept in [first, second, third] {
            if kept.waits != 0 {
                give(kept);
                kept.waits = 0;
            }
        }
    }
}

impl Kind {
    /// Adds a wait of this kind, which a free place becomes.
    #[inline(always)]
    fn keep(&mut self, one: &Self) -> bool {
        if self.waits == 0 {
            *self = *one;
            return true;
        }
        if self.kernel != one.kernel || self.waker != one.waker || self.packed != one.packed {
            return false;
        }
        self.waits += one.waits;
        self.total_ns += one.total_ns;
        if one.max_ns > self.max_ns {
            self.max_ns = one.max_ns;
        }
        true
    }
}
