//! Long waits of a call, kept until the call ends: only then is its user stack taken.
//!
//! In: waits that ended. Out: sums of a few kinds, kept in the thread's record until its call ends.

use profiler_common::wait::Waker;

use crate::field::Field;
use crate::waker::LastWaker;

/// Kinds of waits a thread keeps, by stack and waker. With one more, a thread's state in task storage would take
/// 2 KiB instead of 1.
pub const KINDS: usize = 3;

/// Those of one call.
#[repr(C)]
pub struct Pending {
    kinds: [Kept; KINDS],
}

/// Waits of one kind, as they are kept.
#[repr(C)]
struct Kept {
    kernel: Field<u64>,
    waker: LastWaker,
    total_ns: Field<u64>,
    max_ns: Field<u64>,
    /// 0 = free.
    waits: Field<u32>,
    packed: Field<u32>,
}

/// Waits of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Kernel stack.
    pub kernel: u64,
    /// Who ended them.
    pub waker: Waker,
    /// Their sum, ns.
    pub total_ns: u64,
    /// The longest, ns.
    pub max_ns: u64,
    /// How many.
    pub waits: u32,
    /// What for, in which call (`profiler_common::wait::pack`).
    pub packed: u32,
}

impl Pending {
    /// Keeps a wait; false when there is no room for its kind. No loop: verifiers of old kernels lose the bounds of
    /// one.
    #[inline(always)]
    pub fn keep(&self, one: &Kind) -> bool {
        let [first, second, third] = &self.kinds;
        first.keep(one) || second.keep(one) || third.keep(one)
    }

    /// Whether nothing is kept.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.kinds[0].waits.get() == 0
    }

    /// Hands out what is kept, and forgets it.
    #[inline(always)]
    pub fn drain(&self, mut give: impl FnMut(&Kind)) {
        let [first, second, third] = &self.kinds;
        for kept in [first, second, third] {
            if kept.waits.get() != 0 {
                give(&kept.kind());
                kept.waits.set(0);
            }
        }
    }
}

impl Kept {
    #[inline(always)]
    fn kind(&self) -> Kind {
        Kind {
            kernel: self.kernel.get(),
            waker: self.waker.get(),
            total_ns: self.total_ns.get(),
            max_ns: self.max_ns.get(),
            waits: self.waits.get(),
            packed: self.packed.get(),
        }
    }

    /// Adds a wait of this kind, which a free place becomes.
    #[inline(always)]
    fn keep(&self, one: &Kind) -> bool {
        let waits = self.waits.get();
        if waits == 0 {
            self.kernel.set(one.kernel);
            self.waker.set(&one.waker);
            self.total_ns.set(one.total_ns);
            self.max_ns.set(one.max_ns);
            self.packed.set(one.packed);
            self.waits.set(one.waits);
            return true;
        }
        if self.kernel.get() != one.kernel || self.waker.get() != one.waker || self.packed.get() != one.packed
        {
            return false;
        }
        self.waits.set(waits.wrapping_add(one.waits));
        self.total_ns.add(one.total_ns);
        if one.max_ns > self.max_ns.get() {
            self.max_ns.set(one.max_ns);
        }
        true
    }
}
