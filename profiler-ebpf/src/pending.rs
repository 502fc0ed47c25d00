//! Long waits of a call that have no user stack yet: plain records, a leaf.
//!
//! In: waits that ended. Out: sums of a few kinds, kept in the thread's record until its call ends.

use profiler_common::wait::Waker;

/// Kinds of waits a thread keeps, by stack and waker.
const KINDS: usize = 4;

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
    /// Keeps a wait; false when there is no room for its kind.
    #[inline(always)]
    pub fn keep(&mut self, one: &Kind) -> bool {
        for kept in &mut self.kinds {
            if kept.waits == 0 {
                *kept = *one;
                return true;
            }
            if kept.kernel == one.kernel && kept.waker == one.waker && kept.packed == one.packed {
                kept.waits += one.waits;
                kept.total_ns += one.total_ns;
                if one.max_ns > kept.max_ns {
                    kept.max_ns = one.max_ns;
                }
                return true;
            }
        }
        false
    }

    /// Whether nothing is kept.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.kinds[0].waits == 0
    }

    /// Hands out what is kept, and forgets it.
    #[inline(always)]
    pub fn drain(&mut self, mut give: impl FnMut(&Kind)) {
        for kept in &mut self.kinds {
            if kept.waits == 0 {
                break;
            }
            give(kept);
            kept.waits = 0;
        }
    }
}
