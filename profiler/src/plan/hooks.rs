//! Hooks: what a backend attaches, as data: programs of the object, and the place of each.
//!
//! In: nothing. Out: [`Hooks`], which `attach` attaches and `check` shows; the programs that several probes share.

/// The programs of a backend, and where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hooks {
    /// (program, tracepoint) without types.
    RawTracepoints(&'static [(&'static str, &'static str)]),
    /// Programs named as their tracepoint, in the order they are attached.
    BtfTracepoints(&'static [&'static str]),
    /// Entry and return of functions, through trampolines.
    Trampolines(&'static [SlowPath]),
    /// (program, function): the entry of one function, through a trampoline. Nothing of it stays on the stack.
    Entry(&'static str, &'static str),
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
    /// What it means if the function cannot be hooked.
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
    /// Waits in it are not seen, which is a miss of the probe.
    Unseen,
    /// Nothing: kernels without this function wait in others.
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
            Self::Entry(_, function) => vec![function],
            Self::SecurityTrampolines | Self::SecurityKprobes => SECURITY.to_vec(),
            Self::CpuClock => vec!["cpu-clock"],
            Self::Cycles => vec!["cpu-cycles"],
        }
    }

    /// Its programs, by the names they have in the object.
    pub fn programs(self) -> Vec<&'static str> {
        let both = |(entry, exit): (&'static str, &'static str)| [entry, exit];
        match self {
            Self::RawTracepoints(pairs) => pairs.iter().map(|(program, _)| *program).collect(),
            Self::BtfTracepoints(tracepoints) => tracepoints.to_vec(),
            Self::Trampolines(paths) => paths.iter().flat_map(|path| both(path.trampoline)).collect(),
            Self::Kprobes(paths) => paths.iter().flat_map(|path| both(path.kprobe)).collect(),
            Self::Entry(program, _) => vec![program],
            Self::SecurityTrampolines | Self::SecurityKprobes => vec![LSM_ENTER, LSM_EXIT],
            Self::CpuClock => vec![CPU_SAMPLE],
            Self::Cycles => Vec::new(),
        }
    }
}

/// The program of CPU samples.
pub const CPU_SAMPLE: &str = "cpu_sample";
/// The programs at a function of the security layer; each function has copies of them, named `PROGRAM FUNCTION`.
pub const LSM_ENTER: &str = "lsm_enter";
/// The same, at its return.
pub const LSM_EXIT: &str = "lsm_exit";

/// (program, tracepoint) of system calls. The exit is attached before the enter: an exit without an enter can be recognized.
/// Signals before both: what follows an interrupted call depends on them.
pub const CALLS: &[(&str, &str)] =
    &[("signal_deliver", "signal_deliver"), ("sys_exit", "sys_exit"), ("sys_enter", "sys_enter")];
/// The iterator that tells calls in flight.
pub const IN_FLIGHT: &str = "in_flight_tasks";
/// Programs of wakeups and switches, named as their tracepoint, in the order they are attached: a sleep that a switch
/// begins must find its wakeup seen. They are detached in the opposite order.
pub const SWITCHES: &[&str] = &["sched_wakeup", "sched_switch"];
/// The program of what sockets hand to threads, named as its tracepoint.
pub const RECEIVES: &[&str] = &["tcp_rcv_space_adjust"];
/// (program, tracepoint) of what processes do: they announce new ones. Ends before forks: a child of ours whose fork is seen
/// is seen ending, too.
pub const PROCESSES: &[(&str, &str)] = &[
    ("process_exec", "sched_process_exec"),
    ("process_exit", "sched_process_exit"),
    ("process_fork", "sched_process_fork"),
];
/// The same, of their end for good.
pub const PROCESS_FREE: &[(&str, &str)] = &[("process_free", "sched_process_free")];
/// The same, of new and removed cgroups.
pub const CGROUPS: &[(&str, &str)] = &[("cgroup_rmdir", "cgroup_rmdir"), ("cgroup_mkdir", "cgroup_mkdir")];
/// The same, of who sends the signals that end processes.
pub const SIGNALS: &[(&str, &str)] =
    &[("mark_victim", "mark_victim"), ("signal_generate", "signal_generate")];

/// Tracepoints of interrupts on top of calls; the end first.
pub const INTERRUPTS: &[[&str; 2]] = &[
    ["softirq_exit", "softirq_entry"],
    ["irq_handler_exit", "irq_handler_entry"],
    ["local_timer_exit", "local_timer_entry"],
];
