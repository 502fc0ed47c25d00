//! What is known of one thread: the record in task storage.
//!
//! In: nothing. Out: fields, which the other modules here change. The thread's own CPU writes all of them. Another CPU
//! writes `waker`, `slice.woken_ns` and `slice.queue` when it wakes the thread, and what the task iterator seeds.

use crate::field::Field;
use crate::lock_waits::Waits;
use crate::parts::Parts;
use crate::pending::Pending;
use crate::waker::LastWaker;

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
    /// A signal's handler runs, and the interrupted call is restarted once that has returned.
    pub const HANDLED: u32 = 16;
    /// That handler may have a stack of its own.
    pub const ELSEWHERE: u32 = 32;
    /// It has returned to the interrupted call: the restart comes next.
    pub const RETURNED: u32 = 64;
    /// On a CPU at attach: nobody knows yet whether it is in a call.
    pub const UNTOLD: u32 = 128;
    /// The call it is in has slept, and then received something from a peer (see `peer`).
    pub const RECEIVED: u32 = 256;
}

/// The slice of a thread that is open.
#[repr(C)]
pub struct Slice {
    /// Since when the thread is on a CPU; 0 = it is not, or nobody saw it come.
    pub on_ns: Field<u64>,
    /// Since when it is off; 0 = it is not, or nobody saw it leave.
    pub out_ns: Field<u64>,
    /// When it was woken since then; 0 = not yet.
    pub woken_ns: Field<u64>,
    /// Since when it spins on a mutex; 0 = it does not.
    pub spin_ns: Field<u64>,
    /// The kernel's count of its switches when the slice began: another one was missed.
    pub switches: Field<u64>,
    /// Kernel stack where the lock it sleeps on was wanted.
    pub lock_stack: Field<u64>,
    /// [`profiler_common::wait::Wait`] it is in.
    pub wait: Field<u16>,
    /// What it waits for once it is woken: the same.
    pub queue: Field<u16>,
    /// 1: the mutex it waits for is in its spinning phase.
    pub spins: Field<u16>,
    /// 1: the call began before switches were seen, so that a missed one is no loss.
    pub early: Field<u16>,
    /// What the kernel had on it when it left the CPU (see `unseen`): time it ran.
    pub ran: Field<u32>,
    /// The same: time it waited for a CPU.
    pub queued: Field<u32>,
    /// Who owned the user lock that it waits for when it left the CPU (`profiler_common::user_lock::pack`); 0: it waits for none.
    pub owner: Field<u32>,
    pad: Field<u32>,
}

/// A call that a signal interrupted; valid while [`flag::INTERRUPTED`] is set.
#[repr(C)]
pub struct Interrupted {
    /// The call.
    pub nr: Field<u32>,
    /// How it returned: 512..=516.
    pub errno: Field<u32>,
    /// When it was entered, ns.
    pub enter_ns: Field<u64>,
    /// When it returned, ns.
    pub exit_ns: Field<u64>,
    /// Its user stack pointer: a restart has the same, a signal handler's calls do not. 0: it could not be read.
    pub stack_pointer: Field<u64>,
    /// The user stack that made it, taken before a handler of a slow one runs.
    pub user: Field<u64>,
    /// What it was made of so far.
    pub parts: Parts,
}

/// What task storage leaves of 1 KiB: one more byte, and a thread takes 2 KiB of the kernel's memory.
const _: () = assert!(size_of::<Thread>() <= 944);

/// What is known of one thread.
#[repr(C)]
pub struct Thread {
    /// [`flag`]s.
    pub flags: Field<u32>,
    /// The call it is in.
    pub nr: Field<u32>,
    /// When it entered that call, ns.
    pub enter_ns: Field<u64>,
    /// How long it had been off the CPU at least when its call of before attach was found, ns.
    pub before_ns: Field<u64>,
    /// Its open slice.
    pub slice: Slice,
    /// What that call is made of.
    pub parts: Parts,
    /// Who has woken it.
    pub waker: LastWaker,
    /// Long waits of that call.
    pub pending: Pending,
    /// The call that waits for its restart.
    pub interrupted: Interrupted,
    /// Sleeping locks waited for.
    pub waits: Waits,
}

impl Thread {
    /// Whether it has a flag.
    #[inline(always)]
    pub fn is(&self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }

    /// Whether it is inside a call that its record holds.
    #[inline(always)]
    pub fn in_call(&self) -> bool {
        self.is(flag::IN_CALL)
    }
}
