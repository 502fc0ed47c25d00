//! What the programs keep about threads and open waits: plain records, a leaf.
//!
//! In: nothing. Out: the values of `THREADS` and `SPINS`.

use profiler_common::lock::Holder;
use profiler_common::part::PARTS;
use profiler_common::stack::NO_STACK;
use profiler_common::wait::{Wait as OffCpu, Waker};

use crate::pending::Pending;

/// Waits open at once per CPU and per thread.
pub const NESTING: usize = 4;

/// In a wait's kind: programs on the slow path opened it and will end it, so contention events on its
/// lock are about the same wait. No flag of a row's kind, which has 16 bits.
pub const TIMED: u32 = 1 << 16;

/// An open wait for a lock: per thread for sleeping locks, per CPU for spinning ones.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Wait {
    /// The lock's address; 0 = free.
    pub lock: u64,
    /// Begin, ns.
    pub begin_ns: u64,
    /// Kernel stack at the begin.
    pub kernel: u64,
    /// User stack at the begin.
    pub user: u64,
    /// Kind, as contention flags, and [`TIMED`].
    pub kind: u32,
    /// 1 for a lock of our own.
    pub own: u32,
    /// 1 when the task itself spins, no interrupt on top of it.
    pub in_task: u32,
    /// The thread that waits, or that an interrupt hit.
    pub tid: u32,
    /// The lock's address where it can have a symbol, set when the wait ends.
    pub named: u64,
    /// Who held it at the begin.
    pub owner: Holder,
}

/// State bits.
pub mod flag {
    /// Inside the call `nr`.
    pub const IN_CALL: u32 = 1;
    /// That call began before attach: its enter time is only "at the latest".
    pub const SEEDED: u32 = 2;
    /// An interrupted call waits for its restart (see `restart`).
    pub const INTERRUPTED: u32 = 4;
    /// The thread was seen before (its first exit without enter is explained by attach).
    pub const KNOWN: u32 = 8;
}

/// Kinds of waits off the CPU in a call, each with a stack of its own.
pub mod wait {
    use super::OffCpu;

    /// Asleep, on no lock that is known.
    pub const SLEEP: u32 = 0;
    /// Asleep on a kernel lock.
    pub const LOCK: u32 = 1;
    /// Runnable all the time.
    pub const RUNNABLE: u32 = 2;
    /// How many there are.
    pub const KINDS: usize = 3;

    /// The kind of a wait.
    #[inline(always)]
    pub const fn kind(wait: u32) -> u32 {
        let asleep = if wait == OffCpu::Lock as u32 { LOCK } else { SLEEP };
        if is_runnable(wait) { RUNNABLE } else { asleep }
    }

    /// Whether it waits for a CPU only.
    #[inline(always)]
    pub const fn is_runnable(wait: u32) -> bool {
        wait >= OffCpu::Woken as u32
    }
}

/// Where a call's time went, and the stacks that show it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Parts {
    /// Time by [`profiler_common::part::Part`], ns; spinning is in the time on the CPU until the call ends.
    pub ns: [u64; PARTS],
    /// Longest wait of each kind that has a stack, ns.
    pub longest_ns: [u64; wait::KINDS],
    /// Kernel stacks of those waits.
    pub wait_stacks: [u64; wait::KINDS],
    /// Kernel stack of the latest CPU sample.
    pub sample_stack: u64,
    /// Kernel stack at the begin of the longest wait for a sleeping lock.
    pub lock_stack: u64,
    /// Kernel stack at the begin of the longest spin.
    pub spin_stack: u64,
    /// That spin, ns.
    pub spin_ns: u64,
}

impl Parts {
    /// Those of a call that begins.
    pub const NONE: Self = Self {
        ns: [0; PARTS],
        longest_ns: [0; wait::KINDS],
        wait_stacks: [NO_STACK; wait::KINDS],
        sample_stack: NO_STACK,
        lock_stack: NO_STACK,
        spin_stack: NO_STACK,
        spin_ns: 0,
    };
}

/// The slice of a thread that is open.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice {
    /// Since when the thread is on a CPU; 0 = it is not, or nobody saw it come.
    pub on_ns: u64,
    /// Since when it is off; 0 = it is not, or nobody saw it leave.
    pub out_ns: u64,
    /// When it was woken since then; 0 = not yet.
    pub woken_ns: u64,
    /// Since when it spins on a mutex; 0 = it does not.
    pub spin_ns: u64,
    /// The kernel's count of its switches when the slice began: another one was missed.
    pub switches: u64,
    /// Kernel stack where the lock it sleeps on was wanted.
    pub lock_stack: u64,
    /// [`profiler_common::wait::Wait`] it is in.
    pub wait: u16,
    /// What it waits for once it is woken: the same.
    pub queue: u16,
    /// 1: the mutex it waits for is in its spinning phase.
    pub spins: u16,
    /// 1: the call began before switches were seen, so that a missed one is no loss.
    pub early: u16,
    /// What the kernel had on it when it left the CPU (see `unseen`): time it ran.
    pub ran: u32,
    /// The same: time it waited for a CPU.
    pub queued: u32,
}

/// A call that a signal interrupted; valid while [`flag::INTERRUPTED`] is set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Interrupted {
    /// The call.
    pub nr: u32,
    /// How it returned: 512..=516.
    pub errno: u32,
    /// When it was entered, ns.
    pub enter_ns: u64,
    /// When it returned, ns.
    pub exit_ns: u64,
    /// Its user stack pointer: a restart has the same, a signal handler's calls do not.
    pub stack_pointer: u64,
    /// What it was made of so far.
    pub parts: Parts,
}

/// What task storage leaves of 1 KiB: one more byte, and a thread takes 2 KiB of the kernel's memory.
const _: () = assert!(size_of::<Thread>() <= 944);

/// What is known of one thread.
#[repr(C)]
pub struct Thread {
    /// [`flag`]s.
    pub flags: u32,
    /// The call it is in.
    pub nr: u32,
    /// When it entered that call, ns.
    pub enter_ns: u64,
    /// Its open slice.
    pub slice: Slice,
    /// What that call is made of.
    pub parts: Parts,
    /// Who has woken it.
    pub waker: Waker,
    /// Long waits of that call.
    pub pending: Pending,
    /// The call that waits for its restart.
    pub interrupted: Interrupted,
    /// Sleeping locks waited for, outermost first.
    pub waits: [Wait; NESTING],
}
