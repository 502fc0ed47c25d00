//! What a CPU knows of the thread it runs: the call of a thread that stays on its CPU.
//!
//! In: enter, exit, sample, switch. Out: the record that user space reads as [`profiler_common::syscall::Slot`].

use core::mem::offset_of;

use profiler_common::stack::NO_STACK;
use profiler_common::syscall::{self, verdict};

use crate::field::Field;

/// This CPU's slot. Programs of this CPU write it: those of calls and switches, and, on top of them, samples and interrupts.
#[repr(C)]
pub struct Slot {
    /// Whether the thread is measured: a [`verdict`].
    pub verdict: Field<u32>,
    /// 1: it is inside the call below.
    pub in_call: Field<u32>,
    /// System call number.
    pub nr: Field<u32>,
    /// Its process.
    pub tgid: Field<u32>,
    /// When it entered the call, ns.
    pub enter_ns: Field<u64>,
    /// Kernel stack of the latest CPU sample in this call.
    pub sample_stack: Field<u64>,
    /// Interrupts on top of this call so far, ns.
    pub irq_ns: Field<u64>,
    /// Its thread id.
    pub tid: Field<u32>,
    pad: Field<u32>,
}

macro_rules! same_layout {
    ($($field:ident)*) => {
        const _: () = assert!(size_of::<Slot>() == size_of::<syscall::Slot>());
        $(const _: () = assert!(offset_of!(Slot, $field) == offset_of!(syscall::Slot, $field));)*
    };
}
same_layout!(verdict in_call nr tgid enter_ns sample_stack irq_ns tid pad);

impl Slot {
    /// Whether the thread that runs here is measured, and inside a call that the slot holds.
    #[inline(always)]
    pub fn is_calling(&self) -> bool {
        self.verdict.get() == verdict::INSIDE && self.in_call.get() != 0
    }

    /// Begins a call; verdict and ids are set already.
    #[inline(always)]
    pub fn enter(&self, nr: u32, now: u64) {
        self.nr.set(nr);
        self.sample_stack.set(NO_STACK);
        self.irq_ns.set(0);
        self.enter_ns.set(now);
        self.in_call.set(1);
    }
}
