//! Who ended a thread's wait. Another CPU writes this while the thread is off the CPU.
//!
//! In: the waker, from the CPU where it runs. Out: the waker, when the wait's row is written.

use profiler_common::stack::NO_STACK;
use profiler_common::wait::{NO_WAKER, Waker};

use crate::field::Field;

/// Nobody was seen.
pub const UNSEEN: Waker = Waker { kernel: NO_STACK, user: NO_STACK, tgid: NO_WAKER, on_top: 0 };

/// The waker of a thread's latest wait.
#[repr(C)]
pub struct LastWaker {
    kernel: Field<u64>,
    user: Field<u64>,
    tgid: Field<u32>,
    on_top: Field<u32>,
}

impl LastWaker {
    /// The waker.
    #[inline(always)]
    pub fn get(&self) -> Waker {
        Waker {
            kernel: self.kernel.get(),
            user: self.user.get(),
            tgid: self.tgid.get(),
            on_top: self.on_top.get(),
        }
    }

    /// Notes a waker. The kernel wakes a task from one CPU at a time.
    #[inline(always)]
    pub fn set(&self, waker: &Waker) {
        self.kernel.set(waker.kernel);
        self.user.set(waker.user);
        self.on_top.set(waker.on_top);
        self.tgid.set(waker.tgid);
    }

    /// Whether one was seen.
    #[inline(always)]
    pub fn is_seen(&self) -> bool {
        self.tgid.get() != NO_WAKER
    }
}
