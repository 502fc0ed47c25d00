//! The table of cells: every probe by every backend, each with a workload that knows the answer.
//!
//! In: nothing. Out: [`CELLS`]. A new backend is a row; which kernels have it is a column of that row.

use crate::judge::{self, Judge};

/// One probe by one backend against one workload.
pub struct Cell {
    pub probe: &'static str,
    /// As `--backend PROBE=NAME` spells it.
    pub backend: &'static str,
    /// What the workload does, for people.
    pub load: &'static str,
    /// The workload and its numbers.
    pub words: &'static [&'static str],
    /// More arguments for `profiler record`.
    pub arguments: &'static [&'static str],
    /// The first kernel that has it, and why none before.
    pub since: Option<((u32, u32), &'static str)>,
    /// What else counts, beside the workload.
    pub witness: Witness,
    pub judge: Judge,
}

/// A count of the kernel's own, in the same window.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    None,
    /// Spins that `contention_begin` saw, and entries to the slow path of spinlocks.
    Spins,
    /// Ticks of the kernel's own clock, at the frequency of [`HERTZ`].
    Ticks,
}

/// Of CPU samples. A frequency that shares no beat with the kernel's own timer.
pub const HERTZ: &str = "499";

const CONTENTION: Option<((u32, u32), &str)> = Some(((5, 19), "no contention tracepoints before 5.19"));

const SYSCALL: Cell = Cell {
    probe: "syscall",
    backend: "raw-tracepoint",
    load: "",
    words: &[],
    arguments: &[],
    since: None,
    witness: Witness::None,
    judge: judge::late_reads,
};
const LOCK: Cell =
    Cell { probe: "lock", backend: "btf-tracepoint", since: CONTENTION, judge: judge::pipe_mutex, ..SYSCALL };
const CPU: Cell = Cell { probe: "cpu", backend: "perf cpu-clock", judge: judge::shares, ..SYSCALL };

/// All cells, in the order they run.
pub const CELLS: &[Cell] = &[
    Cell { load: "reads answered late", words: &["pipe-reads", "50", "20"], ..SYSCALL },
    Cell {
        load: "many fast calls",
        words: &["getppid-loop", "20000", "2"],
        judge: judge::fast_calls,
        ..SYSCALL
    },
    Cell {
        load: "calls that fail",
        words: &["failing-opens", "2000"],
        judge: judge::failing_opens,
        ..SYSCALL
    },
    Cell { load: "a mutex held", words: &["stalled-pipe", "20", "40"], ..LOCK },
    Cell { load: "an rwsem held", words: &["stalled-inode", "20", "40"], judge: judge::inode_rwsem, ..LOCK },
    Cell {
        load: "spinning threads",
        words: &["dup-close", "4", "3000"],
        witness: Witness::Spins,
        judge: judge::spins_by_tracepoint,
        ..LOCK
    },
    Cell {
        load: "70 to 30",
        words: &["burn-70-30", "6000"],
        arguments: &["-F", HERTZ],
        witness: Witness::Ticks,
        ..CPU
    },
];
