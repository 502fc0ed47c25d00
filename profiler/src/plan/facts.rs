//! Facts: what this kernel has and what it lets this process do.
//!
//! In: procfs, sysfs and a few harmless trials. Out: [`Facts`], plain values that a test can
//! make up. Reading takes about a millisecond; no BTF is parsed.

use std::io::Read;

use serde::Serialize;

use super::capability::CapabilitySet;
use super::spinlock::{self, SpinLocks};
use super::trial::{self, Trial};
use crate::machine::{self, CgroupLayout, Told};

/// The fix for missing capabilities.
pub(super) const ROOT_MEND: &str = "run as root (sudo), or grant the capabilities that are missing";

/// Everything the plan depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// Its major and minor number; (0, 0) when it has none.
    pub version: (u32, u32),
    /// Effective user id.
    pub uid: u32,
    /// The kernel's type description.
    pub btf: Btf,
    /// Lockdown mode.
    pub lockdown: Told<String>,
    /// Active LSMs in order.
    pub lsms: Told<Vec<String>>,
    /// Loaded BPF programs for LSM hooks; none where this user may not list programs.
    pub bpf_lsm_programs: usize,
    /// Effective capabilities.
    pub capabilities: CapabilitySet,
    /// Whether a seccomp filter is on this process.
    pub seccomp: bool,
    /// Where this process runs.
    pub place: Place,
    /// Whether kernel functions can be named.
    pub kernel_names: KernelNames,
    /// `kernel.kptr_restrict`.
    pub kptr_restrict: Told<i64>,
    /// Where tracefs is mounted.
    pub tracefs: Option<String>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Told<i64>,
    /// `kernel.perf_event_max_stack`, frames.
    pub perf_event_max_stack: Told<i64>,
    /// `kernel.perf_event_max_sample_rate`, Hz.
    pub perf_event_max_sample_rate: Told<i64>,
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Told<i64>,
    /// Whether the kernel has kprobes.
    pub kprobes: Told<bool>,
    /// Attaching a program to a kernel function through a trampoline.
    pub trampolines: Trial,
    /// Whether the kernel has the contention tracepoints.
    pub contention: bool,
    /// Whether a tracepoint tells when a disk request begins.
    pub request_start: bool,
    /// Whether a tracepoint tells which socket is sent to.
    pub send_length: bool,
    /// Whether trampolines outlive the tasks that sleep in what they called.
    pub sleeping_trampolines: bool,
    /// Tracing programs may use task storage: threads' state beside their tasks.
    pub task_storage: bool,
    /// Programs may ask for the running task as one that the verifier knows.
    pub current_task: bool,
    /// Programs may ask for a task's user registers.
    pub task_registers: bool,
    /// A program at a function's entry is not entered again from below itself.
    pub recursion_guard: bool,
    /// Kind of spinlocks.
    pub spin_locks: SpinLocks,
    /// cgroup hierarchies.
    pub cgroup_layout: CgroupLayout,
    /// Loading a tracing program.
    pub load: Trial,
    /// Loading one that reads kernel memory.
    pub read_kernel: Trial,
    /// Opening the software CPU clock on a CPU.
    pub cpu_clock: Trial,
    /// Opening the cycle counter on a CPU.
    pub cycles: Trial,
}

/// The kernel's BTF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Btf {
    /// There, and begins as BTF does.
    Readable,
    /// The kernel has none.
    Missing,
    /// There is a file, but it is of no use, and why.
    Unusable(String),
}

impl Btf {
    /// `None` when it is readable, else a phrase.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Readable => None,
            Self::Missing => Some(format!("{BTF} does not exist: the kernel has no BTF")),
            Self::Unusable(why) => Some(why.clone()),
        }
    }
}

/// Whether /proc/kallsyms shows addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelNames {
    /// It does.
    Readable,
    /// It shows zeros to this user.
    Hidden,
    /// There is none.
    Missing,
}

impl KernelNames {
    /// Whether kernel functions can be named.
    pub const fn readable(self) -> bool {
        matches!(self, Self::Readable)
    }
}

/// Where this process runs, by its namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The host.
    Host,
    /// A container that sees the host's processes: a privileged debug pod.
    DebugPod,
    /// A container with processes of its own.
    Container,
    /// A user namespace: its root is not the host's.
    UserNamespace,
}

impl Place {
    /// The name users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::DebugPod => "container that sees the host's processes (debug pod)",
            Self::Container => "container, sees only its own processes",
            Self::UserNamespace => "user namespace, its root is not the host's",
        }
    }

    /// Whether capabilities held here are the host's.
    pub const fn owns_capabilities(self) -> bool {
        !matches!(self, Self::UserNamespace)
    }
}

const BTF: &str = "/sys/kernel/btf/vmlinux";
/// The kernel's limit of frames in a stack.
pub const MAX_STACK: &str = "/proc/sys/kernel/perf_event_max_stack";
/// The kernel's limit of samples a second.
pub const MAX_SAMPLE_RATE: &str = "/proc/sys/kernel/perf_event_max_sample_rate";

impl Facts {
    /// Whether threads' state lies beside their tasks, which takes all three; else in a table of bounded size.
    pub const fn state_by_task(&self) -> bool {
        self.task_storage && self.current_task && self.task_registers
    }

    /// Reads this machine, as this process sees it.
    pub fn read() -> Self {
        let release = machine::line(&rustix::system::uname().release().to_string_lossy(), 128);
        let version = version(&release);
        let status = machine::read("/proc/self/status", 64 << 10).unwrap_or_default();
        let mounts = machine::mounts();
        Self {
            version,
            uid: rustix::process::geteuid().as_raw(),
            btf: read_btf(),
            lockdown: machine::lockdown(),
            lsms: machine::lsms(),
            bpf_lsm_programs: bpf_lsm_programs(),
            capabilities: field(&status, "CapEff:").and_then(CapabilitySet::parse).unwrap_or_default(),
            seccomp: field(&status, "Seccomp:").is_some_and(|mode| mode != "0"),
            place: read_place(&mounts),
            kernel_names: kernel_names(&machine::read("/proc/kallsyms", 16 << 10)),
            kptr_restrict: machine::number("/proc/sys/kernel/kptr_restrict"),
            tracefs: tracefs(&mounts),
            perf_event_paranoid: machine::number("/proc/sys/kernel/perf_event_paranoid"),
            perf_event_max_stack: machine::number(MAX_STACK),
            perf_event_max_sample_rate: machine::number(MAX_SAMPLE_RATE),
            unprivileged_bpf_disabled: machine::number("/proc/sys/kernel/unprivileged_bpf_disabled"),
            kprobes: kprobes(),
            trampolines: trial::trampoline(),
            contention: version >= CONTENTION || btf_names("btf_trace_contention_begin"),
            request_start: version >= REQUEST_START || btf_names("btf_trace_block_io_start"),
            send_length: version >= SEND_LENGTH || btf_names("btf_trace_sock_send_length"),
            sleeping_trampolines: version >= SLEEPING_TRAMPOLINES || has_symbol("__bpf_tramp_enter"),
            task_storage: version >= TASK_STORAGE || btf_names("BPF_FUNC_task_storage_get"),
            current_task: version >= TASK_STORAGE || btf_names("BPF_FUNC_get_current_task_btf"),
            task_registers: version >= TASK_REGISTERS || btf_names("BPF_FUNC_task_pt_regs"),
            recursion_guard: version >= RECURSION_GUARD,
            spin_locks: spinlock::read(),
            cgroup_layout: machine::cgroup_layout(&mounts),
            load: trial::load(),
            read_kernel: trial::read_kernel(),
            cpu_clock: trial::cpu_clock(),
            cycles: trial::cycles(),
            release,
        }
    }
}

/// First kernel with the contention tracepoints; vendors carry them to older ones.
const CONTENTION: (u32, u32) = (5, 19);

/// First kernel with `block_io_start`.
const REQUEST_START: (u32, u32) = (6, 5);

/// First kernel with `sock_send_length`.
const SEND_LENGTH: (u32, u32) = (6, 3);

/// First kernel that counts the tasks in a trampoline; stable releases carry it back.
const SLEEPING_TRAMPOLINES: (u32, u32) = (5, 12);

/// First kernel on which tracing programs may use task storage, and get the running task with its type.
const TASK_STORAGE: (u32, u32) = (5, 12);
/// First kernel that hands out a task's user registers.
const TASK_REGISTERS: (u32, u32) = (5, 15);
/// First kernel with that guard; a vendor that carries it back is judged too low, which is safe.
const RECURSION_GUARD: (u32, u32) = (5, 12);

/// Whether the kernel has a function; asked only on kernels older than the feature.
fn has_symbol(name: &str) -> bool {
    let symbols = machine::read("/proc/kallsyms", 64 << 20).unwrap_or_default();
    symbols.lines().any(|line| line.split(' ').nth(2).is_some_and(|symbol| symbol.trim() == name))
}

/// Major and minor number of a release like `6.1.0-56-amd64`.
pub fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (0, 0),
    }
}

/// Programs of a list that are looked at, at most.
const PROGRAMS: usize = 4096;

fn bpf_lsm_programs() -> usize {
    let programs = aya::programs::loaded_programs().take(PROGRAMS).flatten();
    programs.filter(|program| format!("{:?}", program.program_type()).ends_with("_LSM")).count()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn read_btf() -> Btf {
    let mut magic = [0; 2];
    match std::fs::File::open(BTF).and_then(|mut file| file.read_exact(&mut magic)) {
        Ok(()) if u16::from_le_bytes(magic) == 0xeb9f => Btf::Readable,
        Ok(()) => Btf::Unusable(format!("{BTF} does not begin as BTF does")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Btf::Missing,
        Err(error) => Btf::Unusable(format!("{BTF} is not readable ({error})")),
    }
}

/// Whether the kernel's BTF holds a name; asked only on kernels older than the feature.
fn btf_names(name: &str) -> bool {
    let mut btf = Vec::new();
    let read = std::fs::File::open(BTF).and_then(|file| file.take(64 << 20).read_to_end(&mut btf));
    read.is_ok() && btf.windows(name.len()).any(|window| window == name.as_bytes())
}

fn kernel_names(kallsyms: &Result<String, String>) -> KernelNames {
    let Ok(text) = kallsyms else {
        return KernelNames::Missing;
    };
    let mut addresses = text.lines().filter_map(|line| line.split(' ').next());
    if addresses.any(|address| address.bytes().any(|digit| digit != b'0')) {
        KernelNames::Readable
    } else {
        KernelNames::Hidden
    }
}

fn tracefs(mounts: &str) -> Option<String> {
    let mut found = mounts.lines().filter(|mount| machine::file_system(mount) == Some("tracefs"));
    found.find_map(machine::mount_point).map(str::to_owned)
}

fn kprobes() -> Told<bool> {
    match std::fs::metadata("/sys/bus/event_source/devices/kprobe") {
        Ok(_) => Told::Is(true),
        Err(_) if std::path::Path::new("/sys/bus/event_source/devices/software").exists() => Told::Is(false),
        Err(_) => Told::Not("sysfs is not mounted".to_owned()),
    }
}

/// Inode numbers the kernel gives to the first namespaces (include/linux/proc_ns.h).
const FIRST_USER: &str = "user:[4026531837]";
const FIRST_PID: &str = "pid:[4026531836]";
const FIRST_CGROUP: &str = "cgroup:[4026531835]";

fn read_place(mounts: &str) -> Place {
    let link = |path: &str| std::fs::read_link(path).map(|link| link.to_string_lossy().into_owned());
    let first =
        |name: &str, expected: &str| link(&format!("/proc/self/ns/{name}")).is_ok_and(|is| is == expected);
    let own_files = match (link("/proc/self/ns/mnt"), link("/proc/1/ns/mnt")) {
        (Ok(own), Ok(first)) => own != first,
        // Not told by the namespaces: a layered root is how containers get their files.
        _ => root_file_system(mounts) == Some("overlay"),
    };
    if !first("user", FIRST_USER) {
        Place::UserNamespace
    } else if !first("pid", FIRST_PID) {
        Place::Container
    } else if !first("cgroup", FIRST_CGROUP) || own_files {
        Place::DebugPod
    } else {
        Place::Host
    }
}

fn root_file_system(mounts: &str) -> Option<&str> {
    mounts.lines().rfind(|mount| machine::mount_point(mount) == Some("/")).and_then(machine::file_system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_have_a_version() {
        assert_eq!(version("6.1.0-56-amd64"), (6, 1));
        assert_eq!(version("5.14.0-427.el9.x86_64"), (5, 14));
        assert_eq!(version("7.2"), (7, 2));
        assert_eq!(version("mine"), (0, 0));
    }

    #[test]
    fn zeros_in_kallsyms_are_hidden_names() {
        let names = |text: &str| kernel_names(&Ok(text.to_owned()));
        assert_eq!(names("0000000000000000 T _text\n0000000000000000 t x\n"), KernelNames::Hidden);
        assert_eq!(names("0000000000000000 A fixed\nffffffff81000000 T _text\n"), KernelNames::Readable);
        assert_eq!(names(""), KernelNames::Hidden);
        assert_eq!(kernel_names(&Err(String::new())), KernelNames::Missing);
    }

    #[test]
    fn the_last_root_mount_is_the_one_in_use() {
        let mounts = "1 0 0:1 / / rw - rootfs rootfs rw\n2 1 0:2 / / rw - overlay overlay rw\n";
        assert_eq!(root_file_system(mounts), Some("overlay"));
    }

    #[test]
    fn this_machine_is_read() {
        let facts = Facts::read();
        assert_ne!(facts.version, (0, 0), "{}", facts.release);
        assert!(facts.perf_event_max_stack.known().is_some_and(|&frames| frames > 0), "{facts:?}");
    }
}
