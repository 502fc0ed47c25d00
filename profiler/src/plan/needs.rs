//! Needs: what a backend requires, and what to do if it is missing.
//!
//! In: [`Facts`]. Out: the [`Obstacle`] of an unmet need, with its fix.

use super::capability::Capability;
use super::facts::{Facts, ROOT_MEND};
use super::obstacle::Obstacle;
use super::trial::Trial;

/// One thing a backend takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `bpf()` loads tracing programs for this process.
    LoadPrograms,
    /// Tracing programs may read kernel memory.
    ReadKernelMemory,
    /// The kernel describes its types.
    Btf,
    /// The contention tracepoints exist.
    ContentionTracepoints,
    /// A tracepoint tells when a disk request begins.
    RequestStart,
    /// A tracepoint tells which socket is sent to.
    SendLength,
    /// Programs can be attached to kernel functions through trampolines.
    Trampolines,
    /// Kernel functions can be probed.
    Kprobes,
    /// A program at a function's entry is not entered again from below itself: without that guard a program
    /// that waits for a spinlock hangs the CPU.
    RecursionGuard,
    /// A task may sleep in a function that a trampoline called, and the trampoline outlives that.
    SleepingTrampolines,
    /// Software events can be opened on every CPU.
    PerfEvents,
    /// A hardware cycle counter.
    CycleCounter,
}

impl Need {
    /// What stands in the way of this need; `None` when it is met.
    pub fn obstacle(self, facts: &Facts) -> Option<Obstacle> {
        match self {
            Self::LoadPrograms => program_obstacle(facts),
            Self::ReadKernelMemory => memory_obstacle(facts),
            Self::Btf => facts.btf.trouble().map(|cause| obstacle(&cause, BTF_MEND)),
            Self::ContentionTracepoints => (!facts.contention).then(|| {
                let cause = format!("kernel {} has no contention tracepoints", facts.release);
                obstacle(&cause, "Linux 5.19 or newer")
            }),
            Self::RequestStart => (!facts.request_start).then(|| {
                let cause = format!("kernel {} has no tracepoint block_io_start", facts.release);
                obstacle(&cause, "Linux 6.5 or newer")
            }),
            Self::SendLength => (!facts.send_length).then(|| {
                let cause = format!("kernel {} has no tracepoint sock_send_length", facts.release);
                obstacle(&cause, "Linux 6.3 or newer")
            }),
            Self::Trampolines => facts.trampolines.trouble("attaching to a kernel function").map(|cause| {
                obstacle(&cause, "a kernel with CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS, not locked down")
            }),
            Self::Kprobes => (facts.kprobes.known() == Some(&false)).then(|| {
                obstacle("this kernel is built without kprobes", "a kernel with CONFIG_KPROBE_EVENTS")
            }),
            Self::RecursionGuard => (!facts.recursion_guard).then(|| {
                let cause =
                    format!("kernel {} runs fentry programs without a recursion guard", facts.release);
                obstacle(&cause, "Linux 5.12 or newer")
            }),
            Self::SleepingTrampolines => (!facts.sleeping_trampolines).then(|| {
                let cause = format!("kernel {} frees trampolines that tasks sleep in", facts.release);
                obstacle(&cause, "Linux 5.12 or newer, or a stable release of 5.10")
            }),
            Self::PerfEvents => perf_obstacle(facts),
            Self::CycleCounter => (facts.cycles != Trial::Works).then(|| {
                obstacle("this machine exposes no hardware cycle counter", "a machine whose PMU is exposed")
            }),
        }
    }
}

const BTF_MEND: &str = "a kernel built with CONFIG_DEBUG_INFO_BTF";

const FILES_MEND: &str = "raise the limit of open files: ulimit -n 4096";
const MEMORY_MEND: &str = "raise the memory limit of this process or of its cgroup";
/// One errno has several causes: those that were looked at are named.
const UNEXPLAINED: &str =
    "capabilities, namespaces and seccomp were checked and allow it: look at lockdown, LSMs and dmesg";

fn obstacle(cause: &str, mend: &str) -> Obstacle {
    Obstacle { cause: cause.to_owned(), mend: mend.to_owned() }
}

fn program_obstacle(facts: &Facts) -> Option<Obstacle> {
    let cause = facts.load.trouble("bpf()")?;
    let lacking = lacking(facts, &[Capability::Bpf, Capability::Perfmon]);
    Some(match (&facts.load, lacking.as_str()) {
        (Trial::Refused(libc::ENOSYS), _) => obstacle(
            &cause,
            "a kernel with CONFIG_BPF_SYSCALL, and a seccomp profile that lets bpf() through",
        ),
        (Trial::Refused(libc::EMFILE | libc::ENFILE), _) => obstacle(&cause, FILES_MEND),
        (Trial::Refused(libc::ENOMEM), _) => obstacle(&cause, MEMORY_MEND),
        (_, "") if facts.version < (5, 11) => {
            obstacle(&cause, "raise the locked-memory limit: ulimit -l unlimited (kernels before 5.11)")
        }
        (_, "") if !facts.place.owns_capabilities() => {
            obstacle(&cause, "run on the host or in a privileged pod; root of a user namespace is not enough")
        }
        (_, "") if facts.seccomp => obstacle(&cause, "a seccomp profile that lets bpf() through"),
        (_, "") => obstacle(&cause, UNEXPLAINED),
        (_, names) => obstacle(&format!("{cause}, {names} missing"), ROOT_MEND),
    })
}

fn memory_obstacle(facts: &Facts) -> Option<Obstacle> {
    // Where nothing loads, the trial says nothing about memory and the other obstacle is the true one.
    if facts.load != Trial::Works || facts.read_kernel == Trial::Works {
        return None;
    }
    let locked = facts.lockdown.known().is_some_and(|mode| mode == "confidentiality");
    let cause = if locked {
        "lockdown is confidentiality: programs may not read kernel memory"
    } else {
        "programs that read kernel memory are refused"
    };
    Some(obstacle(cause, "boot without lockdown=confidentiality"))
}

fn perf_obstacle(facts: &Facts) -> Option<Obstacle> {
    let cause = facts.cpu_clock.trouble("perf_event_open()")?;
    let lacking = lacking(facts, &[Capability::Perfmon]);
    let mend = match (&facts.cpu_clock, lacking.as_str()) {
        (Trial::Refused(libc::ENOSYS), _) if facts.seccomp => {
            "a kernel with CONFIG_PERF_EVENTS, and a seccomp profile that lets perf_event_open() through"
        }
        (Trial::Refused(libc::ENOSYS | libc::ENOENT), _) => "a kernel with CONFIG_PERF_EVENTS",
        (Trial::Refused(libc::EMFILE | libc::ENFILE), _) => FILES_MEND,
        (Trial::Refused(libc::ENOMEM), _) => MEMORY_MEND,
        (Trial::Refused(libc::EPERM | libc::EACCES), "") if !facts.place.owns_capabilities() => {
            "run on the host or in a privileged pod; root of a user namespace is not enough"
        }
        (Trial::Refused(libc::EPERM | libc::EACCES), "") if facts.seccomp => {
            "a seccomp profile that lets perf_event_open() through, or run on the host"
        }
        (_, "") => UNEXPLAINED,
        _ => ROOT_MEND,
    };
    Some(obstacle(&cause, mend))
}

/// Names of the capabilities this process has not; CAP_SYS_ADMIN stands in for the newer two.
fn lacking(facts: &Facts, wanted: &[Capability]) -> String {
    if facts.capabilities.has(Capability::SysAdmin) {
        return String::new();
    }
    let lacking = wanted.iter().filter(|capability| !facts.capabilities.has(**capability));
    lacking.map(|capability| capability.name()).collect::<Vec<_>>().join(" and ")
}
