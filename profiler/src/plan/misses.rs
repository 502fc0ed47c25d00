//! Needs and misses that several probes have in common.
//!
//! In: nothing. Out: needs and sentences that the rows of the plan share.

use super::backend::{Miss, always};
use super::needs::Need;

/// Kernel functions stay addresses.
pub const UNNAMED: Miss = Miss {
    applies: |facts| !facts.kernel_names.readable(),
    text: "Names of kernel functions and locks (kernel addresses only), and which waits are those of interrupts.",
};

/// The state of threads is in a table of fixed size.
pub const FEW_THREADS: Miss = Miss {
    applies: |facts| !facts.state_by_task(),
    text: "Threads above 16,384 at once: without task storage their state is a table of that size.",
};

/// The table of a call is looked up once in a time slice.
pub const MIXED_TABLES: Miss = Miss {
    applies: |facts| !facts.state_by_task(),
    text: "Calls by int 0x80 after other calls in the same time slice: named as if of the x86-64 table.",
};

/// First kernel whose tracepoints of system calls let the thread be preempted.
const PREEMPTIBLE_CALLS: (u32, u32) = (7, 0);

/// The kernel runs a program on one thread of a CPU at a time.
pub const PREEMPTED_PROGRAMS: Miss = Miss {
    applies: |facts| facts.version >= PREEMPTIBLE_CALLS,
    text: "Calls on a CPU where another thread was preempted inside a program: this kernel skips them; they are counted as lost.",
};

/// What it takes to follow threads through the scheduler.
pub const SCHEDULER: &[Need] = &[Need::LoadPrograms, Need::Btf, Need::ReadKernelMemory];

/// Threads of the kernel itself.
pub const KERNEL_THREADS: Miss = always("Kernel threads, which make no system calls.");
