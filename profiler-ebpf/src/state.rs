//! What the programs keep about threads and open waits: plain records, a leaf.
//!
//! In: nothing. Out: the values of `THREADS` and `SPINS`.

use profiler_common::lock::Holder;

/// Waits open at once per CPU and per thread.
pub const NESTING: usize = 4;

/// In a wait's kind: programs on the slow path opened it and will end it, so contention events on its
/// lock are about the same wait. No flag of a row's kind, which has 16 bits.
pub const TIMED: u32 = 1 << 16;
/// Functions of the security layer a thread can be in at once: a power of two, for masks.
pub const OPEN_DEPTH: usize = 8;
/// Threads that can be in such functions at once without taking each other's place.
pub const OPEN_PLACES: u32 = 1 << 14;

/// The functions of the security layer one thread is in, outermost first.
#[repr(C)]
pub struct OpenFunctions {
    /// The thread, or the CPU's complement for its idle task.
    pub owner: u32,
    /// How many.
    pub depth: u32,
    /// Which: the sites' words.
    pub sites: [u32; OPEN_DEPTH],
    /// When each was entered, ns.
    pub begin_ns: [u64; OPEN_DEPTH],
}

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

/// Where a call's time went, and the stacks that show it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Parts {
    /// Time off the CPU, ns.
    pub off_cpu_ns: u64,
    /// Longest wait that has a stack, ns.
    pub longest_ns: u64,
    /// Kernel stack of that wait.
    pub wait_stack: u64,
    /// Kernel stack of the latest CPU sample.
    pub sample_stack: u64,
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

/// What is known of one thread.
#[repr(C)]
pub struct Thread {
    /// [`flag`]s.
    pub flags: u32,
    /// The call it is in.
    pub nr: u32,
    /// When it entered that call, ns.
    pub enter_ns: u64,
    /// When it left the CPU inside the call; 0 = it is on one.
    pub out_ns: u64,
    /// What that call is made of.
    pub parts: Parts,
    /// The call that waits for its restart.
    pub interrupted: Interrupted,
    /// Sleeping locks waited for, outermost first.
    pub waits: [Wait; NESTING],
}
