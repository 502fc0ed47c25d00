//! Where a call's time went, and the stacks that show it.
//!
//! In: slices that ended. Out: the parts of the call; [`Parts::settle`] makes them add up to its wall time.

use profiler_common::part::{PARTS, Part};
use profiler_common::stack::NO_STACK;
use profiler_common::syscall::source;
use profiler_common::wait::Wait;

use crate::field::Field;
use crate::wait_kind::{self, KINDS};

/// The parts of one call.
#[repr(C)]
pub struct Parts {
    /// Time by [`Part`], ns. Until the call ends, the time on the CPU includes spinning and interrupts.
    pub ns: [Field<u64>; PARTS],
    /// Longest wait of each kind that has a stack, ns.
    pub longest_ns: [Field<u64>; KINDS],
    /// Kernel stacks of those waits.
    pub wait_stacks: [Field<u64>; KINDS],
    /// Kernel stack of the latest CPU sample.
    pub sample_stack: Field<u64>,
    /// Kernel stack at the begin of the longest wait for a sleeping lock.
    pub lock_stack: Field<u64>,
    /// Kernel stack at the begin of the longest spin.
    pub spin_stack: Field<u64>,
    /// That spin, ns.
    pub spin_ns: Field<u64>,
}

impl Parts {
    /// A call begins.
    #[inline(always)]
    pub fn clear(&self) {
        for part in 0..PARTS {
            self.ns[part].set(0);
        }
        for kind in 0..KINDS {
            self.longest_ns[kind].set(0);
            self.wait_stacks[kind].set(NO_STACK);
        }
        self.sample_stack.set(NO_STACK);
        self.lock_stack.set(NO_STACK);
        self.spin_stack.set(NO_STACK);
        self.spin_ns.set(0);
    }

    /// Becomes a copy of another call's.
    #[inline(always)]
    pub fn copy(&self, from: &Self) {
        for part in 0..PARTS {
            self.ns[part].set(from.ns[part].get());
        }
        for kind in 0..KINDS {
            self.longest_ns[kind].set(from.longest_ns[kind].get());
            self.wait_stacks[kind].set(from.wait_stacks[kind].get());
        }
        self.sample_stack.set(from.sample_stack.get());
        self.lock_stack.set(from.lock_stack.get());
        self.spin_stack.set(from.spin_stack.get());
        self.spin_ns.set(from.spin_ns.get());
    }

    /// Each becomes a copy of the other.
    #[inline(always)]
    pub fn exchange(&self, other: &Self) {
        for part in 0..PARTS {
            self.ns[part].exchange(&other.ns[part]);
        }
        for kind in 0..KINDS {
            self.longest_ns[kind].exchange(&other.longest_ns[kind]);
            self.wait_stacks[kind].exchange(&other.wait_stacks[kind]);
        }
        self.sample_stack.exchange(&other.sample_stack);
        self.lock_stack.exchange(&other.lock_stack);
        self.spin_stack.exchange(&other.spin_stack);
        self.spin_ns.exchange(&other.spin_ns);
    }

    /// Adds a slice to a part.
    #[inline(always)]
    pub fn add(&self, part: Part, ns: u64) {
        self.ns[part as usize].add(ns);
    }

    /// Adds a wait off the CPU to the part that it is.
    #[inline(always)]
    pub fn add_wait(&self, wait: u32, ns: u64) {
        // By arithmetic: the verifier would go on with one state for each branch.
        let part = if wait_kind::is_runnable(wait) {
            wait - Wait::Woken as u32 + Part::Woken as u32
        } else {
            Part::Sleep as u32 - u32::from(wait == Wait::Lock as u32)
        };
        // The mask is for verifiers: the compiler may check one copy of the number and use another one.
        let part = part as usize & 15;
        if part < PARTS {
            self.ns[part].add(ns);
        }
    }

    /// The call has ended after `wall_ns`. Takes spinning and interrupts out of the time on the CPU, and makes what no
    /// slice covers [`Part::Unaccounted`]. False: the parts were more than the wall time, and all of it is unaccounted now.
    #[inline(always)]
    pub fn settle(&self, wall_ns: u64) -> bool {
        let (on_cpu, irq) = (&self.ns[Part::OnCpu as usize], &self.ns[Part::Irq as usize]);
        let others = self.ns[Part::Spin as usize].get().wrapping_add(irq.get());
        on_cpu.set(on_cpu.get().saturating_sub(others));
        let mut sum = 0u64;
        for part in 0..Part::Unaccounted as usize {
            sum = sum.wrapping_add(self.ns[part].get());
        }
        // An interrupt that came between the end of the call and our note of it.
        let late = sum.saturating_sub(wall_ns);
        if late != 0 && late <= irq.get() {
            irq.set(irq.get() - late);
            sum = wall_ns;
        }
        let plausible = sum <= wall_ns;
        if !plausible {
            for part in 0..PARTS {
                self.ns[part].set(0);
            }
            sum = 0;
        }
        self.ns[Part::Unaccounted as usize].set(wall_ns - sum);
        plausible
    }

    /// The stack that shows most of a call, and its [`source`]: its longest wait, else its longest spin or latest sample.
    #[inline(always)]
    pub fn telling_stack(&self) -> (u64, u32) {
        let (mut longest, mut stack) = (0, NO_STACK);
        for kind in 0..KINDS {
            let ns = self.longest_ns[kind].get();
            if ns > longest {
                (longest, stack) = (ns, self.wait_stacks[kind].get());
            }
        }
        let (spin, sample) = (self.spin_stack.get(), self.sample_stack.get());
        let spins = self.ns[Part::Spin as usize].get() > self.ns[Part::OnCpu as usize].get();
        if stack != NO_STACK {
            (stack, source::WAIT)
        } else if spin != NO_STACK && spins {
            (spin, source::SPIN)
        } else if sample != NO_STACK {
            (sample, source::SAMPLE)
        } else {
            (NO_STACK, source::NONE)
        }
    }

    /// The stack that shows one part.
    #[inline(always)]
    pub fn stack_of(&self, part: usize) -> u64 {
        if part == Part::OnCpu as usize {
            self.sample_stack.get()
        } else if part == Part::Spin as usize {
            self.spin_stack.get()
        } else if part == Part::LockSleep as usize {
            self.lock_stack.get()
        } else if part == Part::Sleep as usize {
            self.wait_stacks[wait_kind::SLEEP as usize].get()
        } else if part == Part::Preempted as usize || part == Part::Throttled as usize {
            self.wait_stacks[wait_kind::RUNNABLE as usize].get()
        } else {
            NO_STACK
        }
    }
}

const _: () = assert!(Part::LockSleep as u32 + 1 == Part::Sleep as u32);
const _: () = assert!(
    Part::Preempted as u32 - Part::Woken as u32 == Wait::Preempted as u32 - Wait::Woken as u32
        && Part::Throttled as u32 - Part::Woken as u32 == Wait::Throttled as u32 - Wait::Woken as u32
);
