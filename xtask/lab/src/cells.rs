//! The table of cells: every probe by every backend, each with a workload that knows the answer.
//!
//! In: nothing. Out: [`CELLS`]. A new backend is a row; which kernels have it is a column of that row.

use crate::judge::{self, Judge, memory, parts, security};

/// One probe, or a part of one, by one backend against one workload.
pub struct Cell {
    /// The probe and its part, as `--backend` spells them: `cpu`, `lock.spin`.
    pub place: &'static str,
    pub backend: &'static str,
    /// What the workload does, for people.
    pub load: &'static str,
    /// The workload and its numbers.
    pub words: &'static [&'static str],
    /// More arguments for `profiler record`.
    pub arguments: &'static [&'static str],
    /// Other probes that record, too, after a comma.
    pub beside: &'static str,
    /// The guest that it runs in.
    pub guest: Guest,
    /// A module of the security layer that must be active.
    pub module: Option<&'static str>,
    /// The first kernel that has it, and why none before.
    pub since: Option<((u32, u32), &'static str)>,
    /// What else counts, beside the workload.
    pub witness: Witness,
    pub judge: Judge,
}

impl Cell {
    /// The probe without its part.
    pub fn probe(&self) -> &'static str {
        self.place.split('.').next().unwrap_or(self.place)
    }

    /// Place and backend as `--backend` takes them.
    pub fn choice(&self) -> String {
        format!("{}={}", self.place, self.backend)
    }
}

/// A count of the kernel's own, in the same window.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    None,
    /// Spins that `contention_begin` saw, and entries to the slow path of spinlocks.
    Spins,
    /// Ticks of the kernel's own clock, at the frequency of [`HERTZ`].
    Ticks,
    /// Memory of the recording's maps, and what the kernel gave to per-CPU memory.
    Memory,
    /// The same workload without AppArmor's profile, beside it.
    Unconfined,
}

/// What the machine is like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guest {
    /// Four CPUs.
    Usual,
    /// Four CPUs of [`MANY`] possible ones.
    ManyCpus,
}

/// Possible CPUs of [`Guest::ManyCpus`].
pub const MANY: u32 = 64;

/// Of CPU samples. A frequency that shares no beat with the kernel's own timer.
pub const HERTZ: &str = "499";

const CONTENTION: Option<((u32, u32), &str)> = Some(((5, 19), "no contention tracepoints before 5.19"));
const GUARD: Option<((u32, u32), &str)> = Some(((5, 12), "no recursion guard for fentry before 5.12"));

const SYSCALL: Cell = Cell {
    place: "syscall",
    backend: "raw-tracepoint",
    load: "reads answered late",
    words: &["pipe-reads", "50", "20"],
    arguments: &[],
    beside: "",
    guest: Guest::Usual,
    module: None,
    since: None,
    witness: Witness::None,
    judge: judge::late_reads,
};
const MUTEX: Cell = Cell {
    place: "lock.sleep",
    backend: "contention",
    load: "a mutex held",
    words: &["stalled-pipe", "10", "100"],
    judge: judge::pipe_mutex,
    ..SYSCALL
};
const RWSEM: Cell = Cell {
    load: "an rwsem held",
    words: &["stalled-inode", "10", "100"],
    judge: judge::inode_rwsem,
    ..MUTEX
};
const SPIN: Cell = Cell {
    place: "lock.spin",
    backend: "contention",
    load: "spinning threads",
    words: &["dup-close", "4", "3000"],
    witness: Witness::Spins,
    judge: judge::spins_by_slow_path,
    ..SYSCALL
};

const DATAGRAMS: Cell =
    Cell { load: "datagrams sent", words: &["udp-send", "3000"], judge: security::datagrams, ..SYSCALL };
const CONFINED: Cell = Cell {
    place: "lsm",
    load: "datagrams sent under a profile of AppArmor",
    arguments: &["--lsm-hooks", "socket_sendmsg"],
    module: Some("apparmor"),
    witness: Witness::Unconfined,
    judge: security::confined,
    ..DATAGRAMS
};
const MIXED: Cell = Cell {
    load: "slow calls that sleep, compute and queue",
    words: &["mixed-reads", "12", "20", "128"],
    arguments: &["--slow", "1ms"],
    judge: parts::witnessed,
    ..SYSCALL
};
const MANY_CPUS: Cell = Cell {
    guest: Guest::ManyCpus,
    load: "many fast calls, 64 possible CPUs",
    words: &["getppid-loop", "20000", "2"],
    beside: ",lock,cpu",
    witness: Witness::Memory,
    judge: memory::bounded,
    ..SYSCALL
};

/// All cells, in the order they run.
pub const CELLS: &[Cell] = &[
    SYSCALL,
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
    MIXED,
    Cell {
        load: "calls preempted by SCHED_FIFO",
        words: &["preempted-reads", "15", "128"],
        arguments: &["--slow", "5ms"],
        judge: parts::preempted,
        ..SYSCALL
    },
    MANY_CPUS,
    Cell { load: "threads of one id", words: &["heir-threads", "100", "3"], judge: judge::heirs, ..SYSCALL },
    Cell { load: "execs by threads", words: &["heir-execs", "20"], judge: judge::execs, ..SYSCALL },
    Cell { since: CONTENTION, ..MUTEX },
    Cell { since: CONTENTION, ..RWSEM },
    Cell { backend: "fentry", ..MUTEX },
    Cell { backend: "fentry", ..RWSEM },
    Cell { backend: "kprobe", ..MUTEX },
    Cell { backend: "kprobe", ..RWSEM },
    Cell { since: CONTENTION, judge: judge::spins_by_tracepoint, ..SPIN },
    Cell { backend: "fentry", since: GUARD, ..SPIN },
    Cell { backend: "kprobe", ..SPIN },
    Cell { place: "lsm", backend: "fentry", ..DATAGRAMS },
    Cell { place: "lsm", backend: "kprobe", ..DATAGRAMS },
    Cell { backend: "fentry", ..CONFINED },
    Cell { backend: "kprobe", ..CONFINED },
    Cell { place: "offcpu", backend: "btf-tracepoint", judge: parts::blocked, arguments: &[], ..MIXED },
    Cell { place: "runq", backend: "btf-tracepoint", judge: parts::queued, arguments: &[], ..MIXED },
    Cell {
        place: "cpu",
        backend: "cpu-clock",
        load: "70 to 30",
        words: &["burn-70-30", "6000"],
        arguments: &["-F", HERTZ],
        witness: Witness::Ticks,
        judge: judge::shares,
        ..SYSCALL
    },
];
