//! The table of cells: every probe by every backend, each with a workload that knows the answer.
//!
//! In: nothing. Out: [`CELLS`]. A new backend is a row; which kernels have it is a column of that row.

use crate::verdict::{self, Judge, blame, crash, disk, memory, parts, peer, security};

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
    /// Other probes that record, too.
    pub beside: &'static [&'static str],
    /// The guest that it runs in.
    pub guest: Guest,
    /// A module of the security layer that must be active.
    pub module: Option<&'static str>,
    /// The first kernel that has it, and why none before.
    pub since: Option<((u32, u32), &'static str)>,
    /// What else counts, beside the workload.
    pub witness: Witness,
    /// Judged by the recording of the cell before it, in which its workload works, too: attaching takes longer than most
    /// workloads.
    pub joins: bool,
    /// No kernel makes a difference to it: the whole matrix measures it on [`ENDS`] alone.
    pub ends: bool,
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
    /// Four CPUs of [`crate::kernel::MANY`] possible ones.
    ManyCpus,
}

/// The oldest and the newest kernel.
pub const ENDS: [(u32, u32); 2] = [(5, 10), (7, 2)];

/// Of CPU samples. A frequency that shares no beat with the kernel's own timer.
pub const HERTZ: &str = "499";

const CONTENTION: Option<((u32, u32), &str)> = Some(((5, 19), "no contention tracepoints before 5.19"));
const REQUEST_START: Option<((u32, u32), &str)> = Some(((6, 5), "no block_io_start before 6.5"));
const SEND_LENGTH: Option<((u32, u32), &str)> = Some(((6, 3), "no sock_send_length before 6.3"));
const GUARD: Option<((u32, u32), &str)> = Some(((5, 12), "no recursion guard for fentry before 5.12"));

const SYSCALL: Cell = Cell {
    place: "syscall",
    backend: "raw-tracepoint",
    load: "reads answered late",
    words: &["pipe-reads", "50", "20"],
    arguments: &[],
    beside: &[],
    guest: Guest::Usual,
    module: None,
    since: None,
    witness: Witness::None,
    joins: false,
    ends: false,
    judge: verdict::late_reads,
};
const SLEEP: Cell = Cell {
    place: "lock.sleep",
    backend: "contention",
    load: "a mutex, then an rwsem held",
    words: &["stalled-both", "8", "100"],
    judge: verdict::mutex_and_rwsem,
    ..SYSCALL
};
const SPIN: Cell = Cell {
    place: "lock.spin",
    backend: "contention",
    load: "spinning threads",
    words: &["dup-close", "4", "3000"],
    witness: Witness::Spins,
    joins: true,
    judge: verdict::spins_by_slow_path,
    ..SYSCALL
};

const DATAGRAMS: Cell =
    Cell { load: "datagrams sent", words: &["udp-send", "3000"], judge: security::datagrams, ..SYSCALL };
const CONFINED: Cell = Cell {
    place: "lsm",
    load: "datagrams sent under a profile of AppArmor",
    module: Some("apparmor"),
    witness: Witness::Unconfined,
    judge: security::confined,
    ..DATAGRAMS
};
const MIXED: Cell = Cell {
    load: "slow calls that sleep, compute and queue",
    words: &["mixed-reads", "12", "20"],
    arguments: &["--slow", "1ms"],
    joins: true,
    judge: parts::witnessed,
    ..SYSCALL
};
const JOINED: Cell = Cell { arguments: &[], ..MIXED };
const BLAME: Cell = Cell { place: "offcpu", backend: "btf-tracepoint", ends: true, ..JOINED };
const MANY_CPUS: Cell = Cell {
    guest: Guest::ManyCpus,
    load: "many fast calls, 64 possible CPUs",
    words: &["getppid-loop", "20000", "2"],
    beside: &["lock", "cpu"],
    witness: Witness::Memory,
    judge: memory::bounded,
    ..SYSCALL
};

const DISK: Cell = Cell {
    place: "block",
    backend: "getrq",
    load: "reads and writes of a disk of known speed",
    words: &["disk-requests", "100", "50", "0", "16"],
    judge: disk::requests,
    ..SYSCALL
};

const PEER: Cell = Cell {
    place: "peer",
    backend: "rcv-space",
    load: "each answer of a peer that is late",
    words: &["talk-peers", "100", "10"],
    joins: true,
    judge: peer::receives,
    ..SYSCALL
};

const SENDS: Cell = Cell {
    place: "peer.send",
    backend: "sendmsg",
    load: "sends to whom the thread received from last",
    beside: &["cpu"],
    judge: peer::sends,
    ..PEER
};

/// All cells, in the order they run.
pub const CELLS: &[Cell] = &[
    SYSCALL,
    MIXED,
    Cell { place: "offcpu", backend: "btf-tracepoint", judge: parts::blocked, ..JOINED },
    Cell { place: "runq", backend: "btf-tracepoint", judge: parts::queued, ..JOINED },
    Cell {
        load: "a mutex that a thread holds",
        words: &["held-mutex", "0", "20", "20"],
        judge: blame::holders,
        ..BLAME
    },
    Cell { load: "a chain of four threads", words: &["chain", "12", "40"], judge: blame::chain, ..BLAME },
    // Its own `--slow`: calls that are only waiting for their CPU are not slow there.
    Cell {
        load: "calls preempted by SCHED_FIFO",
        words: &["preempted-reads", "15", "60"],
        judge: parts::preempted,
        ..SYSCALL
    },
    Cell {
        load: "many fast calls, then some that fail",
        words: &["fast-and-failing", "20000", "2", "2000"],
        ends: true,
        judge: verdict::fast_and_failing,
        ..JOINED
    },
    Cell {
        load: "threads of one id",
        words: &["heir-threads", "100", "3"],
        ends: true,
        judge: verdict::heirs,
        ..JOINED
    },
    Cell {
        load: "reads left by a jump",
        words: &["left-reads", "20", "20", "0"],
        ends: true,
        judge: verdict::left_reads,
        ..JOINED
    },
    // It counts who ended inside a call, of all processes.
    Cell {
        load: "execs by threads",
        words: &["heir-execs", "20"],
        ends: true,
        judge: verdict::execs,
        ..SYSCALL
    },
    MANY_CPUS,
    Cell { since: CONTENTION, ..SLEEP },
    Cell { since: CONTENTION, judge: verdict::spins_by_tracepoint, ..SPIN },
    Cell { backend: "fentry", ..SLEEP },
    Cell { backend: "fentry", since: GUARD, ..SPIN },
    Cell { backend: "kprobe", ..SLEEP },
    Cell { backend: "kprobe", ..SPIN },
    Cell { backend: "fentry", ..CONFINED },
    Cell { place: "lsm", backend: "fentry", joins: true, ..DATAGRAMS },
    Cell { backend: "kprobe", ..CONFINED },
    Cell { place: "lsm", backend: "kprobe", joins: true, ..DATAGRAMS },
    DISK,
    PEER,
    SENDS,
    Cell {
        place: "cpu",
        backend: "cpu-clock",
        load: "70 to 30",
        words: &["burn-70-30", "3000"],
        arguments: &["-F", HERTZ],
        witness: Witness::Ticks,
        judge: verdict::shares,
        ..JOINED
    },
    Cell { place: "crash", load: "each way to die", words: &["deaths", "2"], judge: crash::told, ..JOINED },
    Cell { backend: "io-start", since: REQUEST_START, ..DISK },
    Cell { backend: "send-length", since: SEND_LENGTH, ..SENDS },
];
