//! Backends: every way a probe can be attached, best first within a probe.
//!
//! In: nothing. Out: the table [`BACKENDS`]: hooks, needs, and what each one misses.
//! A new backend is a new row; `check`, the capture's header and the pictures follow.

use serde::Serialize;

use super::facts::Facts;
use super::hooks::{Hooks, SLEEPING, SPINNING};
use super::spinlock::SpinLocks;
use super::{Need, Probe};

/// One mechanism for one probe.
#[derive(Debug)]
pub struct Backend {
    /// The probe it serves.
    pub probe: Probe,
    /// Which part of that probe.
    pub part: Part,
    /// Its name in output and in `--backend`.
    pub name: &'static str,
    /// Its programs, and where they go.
    pub hooks: Hooks,
    /// What it takes.
    pub needs: &'static [Need],
    /// Whether it misses so much on a machine that every other candidate goes first.
    pub blind: fn(&Facts) -> bool,
    /// What it does not see.
    pub misses: &'static [Miss],
    /// What runs beside it where the machine allows.
    pub extras: &'static [Extra],
    /// Whether this version has it; rows without are shown as to come, and never chosen.
    pub built: bool,
}

impl PartialEq for Backend {
    fn eq(&self, other: &Self) -> bool {
        (self.probe, self.part, self.name) == (other.probe, other.part, other.name)
    }
}

impl Eq for Backend {}

/// A part of a probe that has a backend of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// All of it.
    Whole,
    /// Waits for locks that spin.
    Spin,
    /// Waits for locks that sleep.
    Sleep,
}

impl Part {
    /// The name users type behind the probe's; empty for the whole.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Spin => "spin",
            Self::Sleep => "sleep",
        }
    }
}

impl Probe {
    /// What users type for a part of it: `lock.spin`.
    pub fn place(self, part: Part) -> String {
        match part {
            Part::Whole => self.name().to_owned(),
            part => format!("{}.{}", self.name(), part.name()),
        }
    }

    /// Its parts.
    pub const fn parts(self) -> &'static [Part] {
        match self {
            Self::Lock => &[Part::Spin, Part::Sleep],
            Self::Syscall | Self::Lsm | Self::Offcpu | Self::Runq | Self::Cpu => &[Part::Whole],
        }
    }
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

const LSM_MISSES: &[Miss] = &[
    always("Hooks other than those of sockets, unless --lsm-hooks names them."),
    always("Functions of a module that the compiler has put into others."),
    always("What timing a module's function costs is in the time of its hook."),
    Miss {
        applies: |facts| facts.lsms.known().is_none(),
        text: "What each module takes: which are active is not told (is securityfs mounted?).",
    },
    UNNAMED,
];

const FEW_THREADS: Miss = Miss {
    applies: |facts| facts.version < TASK_STORAGE,
    text: "Threads above 16,384 at once: without task storage their state is a table of that size.",
};

/// First kernel whose tracing programs may use task storage.
const TASK_STORAGE: (u32, u32) = (5, 12);

/// Not blind anywhere.
const SEEING: fn(&Facts) -> bool = |_| false;

/// Where the contention tracepoints do not see every wait for a spinlock.
const SPINS_UNSEEN: fn(&Facts) -> bool = |facts| facts.spin_locks != SpinLocks::Paravirtual;

/// What following threads through the scheduler takes.
const SCHEDULER: &[Need] = &[Need::LoadPrograms, Need::Btf, Need::ReadKernelMemory];

const KERNEL_THREADS: Miss = always("Kernel threads, which make no system calls.");

const OTHER_LOCKS: Miss =
    always("Waits for rt-mutexes, per-CPU rwsems and ww-mutexes: only contention tracepoints see those.");

const MAP_LOCKS: Miss = Miss {
    applies: |facts| facts.version >= (6, 15),
    text: "Waits for locks inside BPF maps: from Linux 6.15 on they spin in code that hooks hardly reach.",
};

const GUARDED: Miss = always(
    "Waits inside another BPF program's run on that CPU: the kernel skips kprobe programs there, and \
     most releases do not count it.",
);

/// All backends.
pub const BACKENDS: &[Backend] = &[
    Backend {
        probe: Probe::Syscall,
        part: Part::Whole,
        name: "raw-tracepoint",
        hooks: Hooks::RawTracepoints(SYSCALL),
        needs: &[Need::LoadPrograms],
        blind: SEEING,
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
            needs: SCHEDULER,
            without: "Slow calls have no kernel stack of their wait.",
            misses: &[],
        }],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: Part::Spin,
        name: "contention",
        hooks: CONTENTION,
        needs: &[Need::ContentionTracepoints, Need::LoadPrograms, Need::Btf],
        blind: SPINS_UNSEEN,
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
            MAP_LOCKS,
            UNNAMED,
        ],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: Part::Spin,
        name: "fentry",
        hooks: Hooks::Trampolines(SPINNING),
        needs: &[Need::RecursionGuard, Need::LoadPrograms, Need::Btf],
        blind: SEEING,
        misses: &[MAP_LOCKS, UNNAMED],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: Part::Spin,
        name: "kprobe",
        hooks: Hooks::Kprobes(SPINNING),
        needs: &[Need::Kprobes, Need::LoadPrograms, Need::Btf],
        blind: SEEING,
        misses: &[MAP_LOCKS, GUARDED, UNNAMED],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: Part::Sleep,
        name: "contention",
        hooks: CONTENTION,
        needs: &[Need::ContentionTracepoints, Need::LoadPrograms, Need::Btf],
        blind: SEEING,
        misses: &[always("Optimistic spinning of rwsem writers before contention_begin."), UNNAMED],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: Part::Sleep,
        name: "fentry",
        hooks: Hooks::Trampolines(SLEEPING),
        needs: &[Need::SleepingTrampolines, Need::LoadPrograms, Need::Btf],
        blind: SEEING,
        misses: &[OTHER_LOCKS, UNNAMED],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: Part::Sleep,
        name: "kprobe",
        hooks: Hooks::Kprobes(SLEEPING),
        needs: &[Need::Kprobes, Need::LoadPrograms, Need::Btf],
        blind: SEEING,
        misses: &[
            OTHER_LOCKS,
            always("Waiters of one function above ten, or twice the CPUs, at once: their ends are lost."),
            GUARDED,
            UNNAMED,
        ],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lsm,
        part: Part::Whole,
        name: "fentry",
        hooks: Hooks::SecurityTrampolines,
        needs: &[Need::LoadPrograms, Need::Btf, Need::Trampolines],
        blind: SEEING,
        misses: LSM_MISSES,
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lsm,
        part: Part::Whole,
        name: "kprobe",
        hooks: Hooks::SecurityKprobes,
        needs: &[Need::LoadPrograms, Need::Kprobes],
        blind: SEEING,
        misses: LSM_MISSES,
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Offcpu,
        part: Part::Whole,
        name: "btf-tracepoint",
        hooks: Hooks::BtfTracepoints(&["sched_waking", "sched_wakeup", "sched_switch"]),
        needs: SCHEDULER,
        blind: SEEING,
        misses: &[
            KERNEL_THREADS,
            always("User stacks of waits outside of system calls, such as page faults."),
            FEW_THREADS,
            UNNAMED,
        ],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Runq,
        part: Part::Whole,
        name: "btf-tracepoint",
        hooks: Hooks::BtfTracepoints(&["sched_wakeup", "sched_switch"]),
        needs: SCHEDULER,
        blind: SEEING,
        misses: &[
            KERNEL_THREADS,
            always("Throttling of a thread that waited for a CPU before: counted as that wait."),
            FEW_THREADS,
        ],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Cpu,
        part: Part::Whole,
        name: "cycles",
        hooks: Hooks::Cycles,
        needs: &[Need::CycleCounter, Need::LoadPrograms],
        blind: SEEING,
        misses: &[],
        extras: &[],
        built: false,
    },
    Backend {
        probe: Probe::Cpu,
        part: Part::Whole,
        name: "cpu-clock",
        hooks: Hooks::CpuClock,
        needs: &[Need::PerfEvents, Need::LoadPrograms],
        blind: SEEING,
        misses: &[
            always("Blind while interrupts are off: that time is billed to the code that turns them on."),
            UNNAMED,
        ],
        extras: &[],
        built: true,
    },
];

/// (program, tracepoint) of system calls; the end first, as for [`CONTENTION`].
pub const SYSCALL: &[(&str, &str)] = &[("sys_exit", "sys_exit"), ("sys_enter", "sys_enter")];

/// The end first: a wait that ends without having begun is told apart, one that never ends is not.
const CONTENTION: Hooks = Hooks::BtfTracepoints(&["contention_end", "contention_begin"]);
