//! Hooks: what a backend attaches, as data: programs of the object, and where each goes.
//!
//! In: nothing. Out: [`Hooks`], which `probe` attaches and `check` shows.

use profiler_common::processor::SPIN_SLOW_PATHS;

/// The programs of a backend, and where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hooks {
    /// (program, tracepoint) without types.
    RawTracepoints(&'static [(&'static str, &'static str)]),
    /// Programs named as their tracepoint, in the order they are attached.
    BtfTracepoints(&'static [&'static str]),
    /// Entry and return of functions, through trampolines.
    Trampolines(&'static [SlowPath]),
    /// Entry and return of functions, through breakpoints.
    Kprobes(&'static [SlowPath]),
    /// Functions of the security layer, those of a session, through trampolines where they can be.
    SecurityTrampolines,
    /// The same, through breakpoints only.
    SecurityKprobes,
    /// The perf event of the CPU clock.
    CpuClock,
    /// The perf event of the cycle counter.
    Cycles,
}

/// Where the `lsm` probe hooks, unless others are named.
const SECURITY: &[&str] =
    &["security_socket_*", "security_unix_*", "security_sock_rcv_skb", "MODULE_socket_*"];

/// A function whose whole run is a wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowPath {
    /// Its names, by kernel: the first that is there counts.
    pub functions: &'static [&'static str],
    /// What it means when it cannot be hooked.
    pub absent: Absent,
    /// Programs for (entry, return) by trampoline.
    pub trampoline: (&'static str, &'static str),
    /// Programs for (entry, return) by breakpoint.
    pub kprobe: (&'static str, &'static str),
}

/// What it means when a function cannot be hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The backend cannot run.
    Fails,
    /// What waits in it is not seen, and that is said.
    Unseen,
    /// Nothing: kernels without it wait elsewhere.
    Nothing,
}

impl Hooks {
    /// Where it hooks, for people.
    pub fn places(self) -> Vec<&'static str> {
        match self {
            Self::RawTracepoints(pairs) => pairs.iter().map(|(_, tracepoint)| *tracepoint).collect(),
            Self::BtfTracepoints(tracepoints) => tracepoints.to_vec(),
            Self::Trampolines(paths) | Self::Kprobes(paths) => {
                paths.iter().filter_map(|path| path.functions.first().copied()).collect()
            }
            Self::SecurityTrampolines | Self::SecurityKprobes => SECURITY.to_vec(),
            Self::CpuClock => vec!["cpu-clock"],
            Self::Cycles => vec!["cpu-cycles"],
        }
    }
}

/// Tracepoints of interrupts on top of calls; the end first.
pub const INTERRUPTS: &[[&str; 2]] = &[
    ["softirq_exit", "softirq_entry"],
    ["irq_handler_exit", "irq_handler_entry"],
    ["local_timer_exit", "local_timer_entry"],
];

const fn path(
    functions: &'static [&'static str],
    absent: Absent,
    trampoline: (&'static str, &'static str),
    kprobe: (&'static str, &'static str),
) -> SlowPath {
    SlowPath { functions, absent, trampoline, kprobe }
}

const SPIN: (&str, &str) = ("kprobe_spin", "kretprobe_spin");
const MUTEX: (&str, &str) = ("kprobe_mutex", "kretprobe_mutex");

/// Waits for locks that spin.
pub const SPINNING: &[SlowPath] = &[
    path(SPIN_SLOW_PATHS[0], Absent::Fails, ("enter_spin_native", "leave_spin_native"), SPIN),
    path(SPIN_SLOW_PATHS[1], Absent::Nothing, ("enter_spin_pv", "leave_spin_pv"), SPIN),
    path(
        &["queued_read_lock_slowpath"],
        Absent::Unseen,
        ("enter_rwlock_read", "leave_rwlock_read"),
        ("kprobe_rwlock_read", "kretprobe_rwlock_read"),
    ),
    path(
        &["queued_write_lock_slowpath"],
        Absent::Unseen,
        ("enter_rwlock_write", "leave_rwlock_write"),
        ("kprobe_rwlock_write", "kretprobe_rwlock_write"),
    ),
];

/// Waits for locks that sleep.
pub const SLEEPING: &[SlowPath] = &[
    path(&["__mutex_lock_slowpath"], Absent::Fails, ("enter_mutex", "leave_mutex"), MUTEX),
    path(
        &["__mutex_lock_killable_slowpath"],
        Absent::Unseen,
        ("enter_mutex_killable", "leave_mutex_killable"),
        MUTEX,
    ),
    path(
        &["__mutex_lock_interruptible_slowpath"],
        Absent::Unseen,
        ("enter_mutex_interruptible", "leave_mutex_interruptible"),
        MUTEX,
    ),
    path(
        &["rwsem_down_read_slowpath"],
        Absent::Fails,
        ("enter_rwsem_read", "leave_rwsem_read"),
        ("kprobe_rwsem_read", "kretprobe_rwsem_read"),
    ),
    path(
        &["rwsem_down_write_slowpath"],
        Absent::Fails,
        ("enter_rwsem_write", "leave_rwsem_write"),
        ("kprobe_rwsem_write", "kretprobe_rwsem_write"),
    ),
];
