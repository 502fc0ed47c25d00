//! The `lock` probe's records.
//!
//! In: contention begin and end. Out: wait rows per (process, kind, lock, stacks), and by holder.

use crate::histogram::SLOTS;

/// Bits of the contention tracepoints' `flags` (kernel: `LCB_F_*`, include/trace/events/lock.h).
pub mod flag {
    /// The waiter spins.
    pub const SPIN: u32 = 1;
    /// Wanted for reading.
    pub const READ: u32 = 2;
    /// Wanted for writing.
    pub const WRITE: u32 = 4;
    /// A real-time lock.
    pub const RT: u32 = 8;
    /// A per-CPU reader-writer semaphore.
    pub const PERCPU: u32 = 16;
    /// A mutex.
    pub const MUTEX: u32 = 32;
}

/// Key of a lock row: all of it is known when the wait begins.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockKey {
    /// Process the CPU was running; user space recognizes waits in interrupts by the stack.
    pub tgid: u32,
    /// Contention [`flag`]s of the first phase, without the spin bit of sleeping locks.
    pub kind: u16,
    /// Explicit padding.
    pub pad: u8,
    /// Octave of the wait, see [`crate::histogram`]; kept in the key so that rows stay small.
    pub octave: u8,
    /// The lock's address where it is static data (it has a symbol), else 0.
    pub lock: u64,
    /// Kernel stack at the begin of the wait.
    pub kernel: u64,
    /// User stack at the begin of the wait; 0 for spins.
    pub user: u64,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
    /// Explicit padding.
    pub pad2: u32,
}
crate::shared_record!(LockKey, 40);

/// One octave of a lock row's waits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LockRow {
    /// Waits per slot of the octave.
    pub slots: [u32; SLOTS],
    /// Sum of waits, ns.
    pub total_ns: u64,
    /// Longest wait, ns.
    pub max_ns: u64,
}
crate::shared_record!(LockRow, 48);

/// A [`Holder`]'s `tgid` when readers hold the lock: the kernel does not record who they are.
pub const READERS: u32 = u32::MAX;

/// Who holds a mutex or rwsem.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// Process; 0: unknown; or [`READERS`].
    pub tgid: u32,
    /// Explicit padding.
    pub pad: u32,
    /// The process's name, NUL padded, as two words.
    pub comm: [u64; 2],
}
crate::shared_record!(Holder, 24);

/// Key of the time waited for locks that a process held.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderKey {
    /// Process that waits.
    pub tgid: u32,
    /// As in [`LockKey`].
    pub kind: u16,
    /// Explicit padding.
    pub pad: u16,
    /// As in [`LockKey`].
    pub lock: u64,
    /// As in [`LockKey`].
    pub kernel: u64,
    /// Who held the lock when the wait began.
    pub holder: Holder,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
    /// Explicit padding.
    pub pad2: u32,
}
crate::shared_record!(HolderKey, 56);

/// Time waited for locks that a process held.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct HolderRow {
    /// Waits.
    pub waits: u64,
    /// Sum of waits, ns.
    pub total_ns: u64,
}
crate::shared_record!(HolderRow, 16);
