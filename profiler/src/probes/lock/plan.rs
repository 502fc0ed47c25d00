//! `lock`: how it is attached.
//!
//! Hooks: `contention_begin` and `contention_end`, or entry and return of the functions that wait. Out: its row of
//! the plan. What spins and what sleeps have backends of their own.

use super::slow_paths::{SLEEPING, SPINNING};
use crate::plan::backend::{Backend, KernelSide, Miss, ProbePart, ProbeRow, always, seeing};
use crate::plan::facts::Facts;
use crate::plan::hooks::Hooks;
use crate::plan::misses::UNNAMED;
use crate::plan::needs::Need;
use crate::plan::spinlock::SpinLocks;
use crate::probe::Probe;
use crate::profile::ledger::Class;

/// Waits for locks that spin.
pub const SPIN: ProbePart = ProbePart {
    name: "spin",
    without: "Waits for spinlocks and rwlocks are not measured at all.",
    with: None,
};
/// Waits for locks that sleep.
pub const SLEEP: ProbePart =
    ProbePart { name: "sleep", without: "Waits for mutexes and rwsems are not measured at all.", with: None };

/// Kernels on which the contention tracepoints do not see every wait for a spinlock.
const SPINS_UNSEEN: fn(&Facts) -> bool = |facts| facts.spin_locks != SpinLocks::Paravirtual;

/// The end is attached first: an end without a begin can be recognized, a begin without an end cannot.
const CONTENTION: Hooks = Hooks::BtfTracepoints(&["contention_end", "contention_begin"]);

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

const BACKENDS: &[Backend] = &[
    Backend {
        probe: Probe::Lock,
        part: SPIN,
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
                text: "The first waiter of a spinlock, or all of them, unless locks are paravirtual: unknown here.",
            },
            MAP_LOCKS,
            UNNAMED,
        ],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: SPIN,
        name: "fentry",
        hooks: Hooks::Trampolines(SPINNING),
        needs: &[Need::RecursionGuard, Need::LoadPrograms, Need::Btf, Need::Trampolines],
        blind: seeing,
        misses: &[MAP_LOCKS, UNNAMED],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: SPIN,
        name: "kprobe",
        hooks: Hooks::Kprobes(SPINNING),
        needs: &[Need::Kprobes, Need::LoadPrograms, Need::Btf],
        blind: seeing,
        misses: &[MAP_LOCKS, GUARDED, UNNAMED],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: SLEEP,
        name: "contention",
        hooks: CONTENTION,
        needs: &[Need::ContentionTracepoints, Need::LoadPrograms, Need::Btf],
        blind: seeing,
        misses: &[always("Optimistic spinning of rwsem writers before contention_begin."), UNNAMED],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: SLEEP,
        name: "fentry",
        hooks: Hooks::Trampolines(SLEEPING),
        needs: &[Need::SleepingTrampolines, Need::LoadPrograms, Need::Btf, Need::Trampolines],
        blind: seeing,
        misses: &[OTHER_LOCKS, UNNAMED],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lock,
        part: SLEEP,
        name: "kprobe",
        hooks: Hooks::Kprobes(SLEEPING),
        needs: &[Need::Kprobes, Need::LoadPrograms, Need::Btf],
        blind: seeing,
        misses: &[
            OTHER_LOCKS,
            always("Waiters of one function above ten, or twice the CPUs, at once: their ends are lost."),
            GUARDED,
            UNNAMED,
        ],
        extras: &[],
        built: true,
    },
];

/// Its row.
pub const ROW: ProbeRow = ProbeRow {
    probe: Probe::Lock,
    parts: &[SPIN, SLEEP],
    backends: BACKENDS,
    kernel: KernelSide {
        maps: &["LOCKS", "HOLDERS"],
        rows: None,
        beside: &[],
        skipped: Class::LockRecursionMiss,
        notes: &[],
    },
};
