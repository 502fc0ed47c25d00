//! An open wait for a lock.
//!
//! In: its begin. Out: what its row needs when it ends.

use profiler_common::lock::Holder;

use crate::field::Field;

/// Waits open at once per CPU and per thread.
pub const NESTING: usize = 4;

/// In a wait's kind: programs on the slow path opened it and will end it, so contention events on its
/// lock are about the same wait. No flag of a row's kind, which has 16 bits.
pub const TIMED: u32 = 1 << 16;

/// Nobody is known to hold a lock.
pub const NOBODY: Holder = Holder { tgid: 0, pad: 0, comm: [0; 2] };

/// No lock lies here, and no wait is open for it.
pub const NO_LOCK: u64 = 1;

/// An open wait.
#[repr(C)]
pub struct LockWait {
    /// The lock's address; 0 = free.
    pub lock: Field<u64>,
    /// Begin, ns.
    pub begin_ns: Field<u64>,
    /// Kernel stack at the begin.
    pub kernel: Field<u64>,
    /// User stack at the begin.
    pub user: Field<u64>,
    /// Kind, as contention flags, and [`TIMED`].
    pub kind: Field<u32>,
    /// The thread that waits, or that an interrupt hit.
    pub tid: Field<u32>,
    /// 1 for a lock of our own.
    pub own: Field<u16>,
    /// 1 when the task itself spins, no interrupt on top of it.
    pub in_task: Field<u16>,
    holder_tgid: Field<u32>,
    /// The lock's address where it can have a symbol, set when the wait ends.
    pub named: Field<u64>,
    holder_comm: [Field<u64>; 2],
}

impl LockWait {
    /// Who held the lock at the begin.
    #[inline(always)]
    pub fn holder(&self) -> Holder {
        let [first, second] = &self.holder_comm;
        Holder { tgid: self.holder_tgid.get(), pad: 0, comm: [first.get(), second.get()] }
    }

    /// Notes who holds the lock.
    #[inline(always)]
    pub fn set_holder(&self, holder: &Holder) {
        let ([first, second], comm) = (&self.holder_comm, holder.comm);
        self.holder_tgid.set(holder.tgid);
        first.set(comm[0]);
        second.set(comm[1]);
    }
}

impl LockWait {
    /// Gives the wait up; whether it was open.
    #[inline(always)]
    pub fn give_up(&self) -> bool {
        let open = self.lock.get() != 0;
        if open {
            self.lock.set(0);
        }
        open
    }

    /// Begins a wait in a free place, whose stacks and holder come later. It is open with [`LockWait::open`].
    #[inline(always)]
    pub fn prepare(&self, kind: u32, own: bool, tid: u32) {
        self.kernel.set(0);
        self.user.set(0);
        self.kind.set(kind);
        self.own.set(u16::from(own));
        self.in_task.set(0);
        self.tid.set(tid);
        self.named.set(0);
        self.set_holder(&NOBODY);
    }

    /// Opens the wait.
    #[inline(always)]
    pub fn open(&self, lock: u64, now: u64) {
        self.begin_ns.set(now);
        self.lock.set(lock);
    }
}
