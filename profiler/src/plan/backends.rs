//! Backends: every way a probe can be attached, best first within a probe.
//!
//! In: nothing. Out: the table [`BACKENDS`]: attach points, needs, and what each one misses.
//! A new backend is a new row; `check`, the capture's header and the pictures follow.

use super::facts::Facts;
use super::spinlock::SpinLocks;
use super::{Need, Probe};

/// One mechanism for one probe.
#[derive(Debug, PartialEq, Eq)]
pub struct Backend {
    /// The probe it serves.
    pub probe: Probe,
    /// Its name in output.
    pub name: &'static str,
    /// Where it hooks.
    pub attach: &'static [&'static str],
    /// What it takes.
    pub needs: &'static [Need],
    /// What it does not see.
    pub misses: &'static [Miss],
    /// What runs beside it where the machine allows.
    pub extras: &'static [Extra],
    /// Whether this version has it; rows without are shown as to come, and never chosen.
    pub built: bool,
}

/// An addition to a backend, without which the probe still runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Extra {
    /// Its name in output.
    pub name: &'static str,
    /// Where it hooks.
    pub attach: &'static [&'static str],
    /// What it takes.
    pub needs: &'static [Need],
    /// What is missed when it cannot run.
    pub without: &'static str,
    /// What is missed when it runs.
    pub misses: &'static [Miss],
}

/// One sentence about what a backend does not see, and where it holds.
#[derive(Debug)]
pub struct Miss {
    /// Whether it holds on a machine.
    pub applies: fn(&Facts) -> bool,
    /// The sentence.
    pub text: &'static str,
}

impl PartialEq for Miss {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Miss {}

const fn always(text: &'static str) -> Miss {
    Miss { applies: |_| true, text }
}

const UNNAMED: Miss = Miss {
    applies: |facts| !facts.kernel_names.readable(),
    text: "Names of kernel functions and locks: kernel addresses only, and interrupts not told from tasks.",
};

const FEW_THREADS: Miss = Miss {
    applies: |facts| facts.version < TASK_STORAGE,
    text: "Threads above 16,384 at once: without task storage their state is a table of that size.",
};

/// First kernel whose tracing programs may use task storage.
const TASK_STORAGE: (u32, u32) = (5, 12);

/// All backends.
pub const BACKENDS: &[Backend] = &[
    Backend {
        probe: Probe::Syscall,
        name: "raw-tracepoint",
        attach: &["sys_enter", "sys_exit"],
        needs: &[Need::LoadPrograms],
        misses: &[
            always("Calls answered in the vDSO (clock_gettime, getcpu …) never enter the kernel."),
            always("Work done by io_uring's kernel workers is no system call of the process."),
            always("Work after sys_exit (signal delivery, task work) is not in a call's latency."),
            FEW_THREADS,
            UNNAMED,
        ],
        extras: &[Extra {
            name: "btf-tracepoint",
            attach: &["sched_switch"],
            needs: &[Need::Btf, Need::ReadKernelMemory],
            without: "Slow calls have no kernel stack of their wait.",
            misses: &[],
        }],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        name: "btf-tracepoint",
        attach: &["contention_begin", "contention_end"],
        needs: &[Need::ContentionTracepoints, Need::LoadPrograms, Need::Btf],
        misses: &[
            Miss {
                applies: |facts| facts.spin_locks == SpinLocks::Native,
                text: "The first waiter of a spinlock spins unseen: no paravirtual locks here.",
            },
            Miss {
                applies: |facts| facts.spin_locks == SpinLocks::TestAndSet,
                text: "Spinlock waits are unseen: a guest without paravirtual locks spins before the hook.",
            },
            Miss {
                applies: |facts| matches!(facts.spin_locks, SpinLocks::Unknown(_)),
                text: "The first waiter of a spinlock, or all of them, unless locks are paravirtual (not told).",
            },
            always("Optimistic spinning of rwsem writers before contention_begin."),
            UNNAMED,
        ],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        name: "slow-path functions",
        attach: &["queued_spin_lock_slowpath", "__mutex_lock_slowpath", "rwsem_down_*_slowpath"],
        needs: &[Need::Kprobes, Need::LoadPrograms],
        misses: &[],
        extras: &[],
        built: false,
    },
    Backend {
        probe: Probe::Cpu,
        name: "perf cycles",
        attach: &["cpu-cycles"],
        needs: &[Need::CycleCounter, Need::LoadPrograms],
        misses: &[],
        extras: &[],
        built: false,
    },
    Backend {
        probe: Probe::Cpu,
        name: "perf cpu-clock",
        attach: &["cpu-clock"],
        needs: &[Need::PerfEvents, Need::LoadPrograms],
        misses: &[
            always("Blind while interrupts are off: that time is billed to the code that turns them on."),
            UNNAMED,
        ],
        extras: &[],
        built: true,
    },
];
