//! Open waits for locks: per thread for sleeping locks, per CPU for spinning ones.
//!
//! In: begins and ends. Out: the wait that an end belongs to. Different locks nest; of one lock, one wait is open.

use profiler_common::lock::flag;

use crate::lock_wait::{LockWait, NESTING, NO_LOCK, TIMED};

/// Where a wait that begins goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Into this place.
    At(usize),
    /// Nowhere: it is open already.
    Open,
    /// Nowhere: all places are taken.
    Full,
}

/// The open waits of a thread or CPU.
#[repr(transparent)]
pub struct Waits([LockWait; NESTING]);

impl Waits {
    /// The wait in a place.
    #[inline(always)]
    pub fn at(&self, index: usize) -> &LockWait {
        &self.0[index & (NESTING - 1)]
    }

    /// Finds the place of a wait that begins.
    #[inline(always)]
    pub fn place(&self, lock: u64, kind: u32) -> Room {
        let mut free = NESTING;
        for index in 0..NESTING {
            let known = self.0[index].lock.get();
            if known == lock {
                // A slow path's own programs time this wait: it is not counted twice.
                let timed = self.0[index].kind.get() & TIMED != 0 && kind & TIMED == 0;
                // Only a mutex announces its phases. For other locks, the recursion guard has skipped (and counted)
                // the end of the wait before, which has no length.
                return if timed || kind & flag::MUTEX != 0 { Room::Open } else { Room::At(index) };
            }
            if known == 0 && free == NESTING {
                free = index;
            }
        }
        if free < NESTING { Room::At(free) } else { Room::Full }
    }

    /// Whether a wait for `lock` is open that its slow path's programs end.
    #[inline(always)]
    pub fn is_timed(&self, lock: u64) -> bool {
        for index in 0..NESTING {
            if self.0[index].lock.get() == lock && self.0[index].kind.get() & TIMED != 0 {
                return true;
            }
        }
        false
    }

    /// The place of the wait for `lock` that a thread ends; it stays taken. A wait of another thread is given up: on
    /// a CPU, an end that the recursion guard skipped leaves a wait behind, and the next end there is not its end.
    #[inline(always)]
    pub fn ending(&self, lock: u64, tid: u32) -> Option<usize> {
        for index in 0..NESTING {
            let wait = &self.0[index];
            if wait.lock.get() == lock {
                if wait.tid.get() != tid {
                    wait.lock.set(0);
                    return None;
                }
                return Some(index);
            }
        }
        None
    }

    /// The lock of the wait of a kind that began last.
    #[inline(always)]
    pub fn last(&self, kind: u32) -> u64 {
        let (mut lock, mut begin_ns) = (NO_LOCK, 0);
        for index in 0..NESTING {
            let wait = &self.0[index];
            let (open, begin) = (wait.lock.get(), wait.begin_ns.get());
            if open != 0 && wait.kind.get() == kind | TIMED && begin >= begin_ns {
                (lock, begin_ns) = (open, begin);
            }
        }
        lock
    }

    /// The wait that began first, when all places are taken.
    #[inline(always)]
    pub fn oldest_if_full(&self) -> Option<&LockWait> {
        let mut oldest = 0;
        for index in 0..NESTING {
            if self.0[index].lock.get() == 0 {
                return None;
            }
            if self.0[index].begin_ns.get() < self.at(oldest).begin_ns.get() {
                oldest = index;
            }
        }
        Some(self.at(oldest))
    }

    /// The kernel stack of an open wait for a lock that is not our own.
    #[inline(always)]
    pub fn stack_of_open(&self) -> Option<u64> {
        for index in 0..NESTING {
            let wait = &self.0[index];
            if wait.lock.get() != 0 && wait.own.get() == 0 {
                return Some(wait.kernel.get());
            }
        }
        None
    }

    /// Whether a thread itself spins on one of these locks.
    #[inline(always)]
    pub fn spins(&self, tid: u32) -> bool {
        for index in 0..NESTING {
            let wait = &self.0[index];
            if wait.lock.get() != 0 && wait.in_task.get() != 0 && wait.tid.get() == tid {
                return true;
            }
        }
        false
    }

    /// Gives up all waits.
    #[inline(always)]
    pub fn clear(&self) {
        for index in 0..NESTING {
            self.0[index].lock.set(0);
        }
    }
}
