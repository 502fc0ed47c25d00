//! Judging the facts one by one.
//!
//! In: [`Facts`]. Out: [`Line`]s in the order they are shown. A fact that is unknown says
//! why, and what to do about it.

use super::line::{Line, Mark};
use crate::machine::{CgroupLayout, Told};
use crate::plan::SpinLocks;
use crate::plan::facts::{Btf, KernelNames, Place};
use crate::plan::trial::Trial;
use crate::plan::{Capability, Facts};

/// The kernel's default stack depth, which a record holds too.
const FRAMES: i64 = 127;
/// What `record` samples at by default, Hz.
const FREQUENCY: i64 = 99;

/// All lines.
pub fn judge(facts: &Facts) -> Vec<Line> {
    vec![
        kernel(facts),
        btf(&facts.btf),
        lockdown(&facts.lockdown),
        lsms(&facts.lsms, facts.bpf_lsm_programs),
        place(facts.place),
        capabilities(facts),
        trial("bpf()", facts.load, "programs load", "programs cannot be loaded"),
        unprivileged(&facts.unprivileged_bpf_disabled),
        trial("perf events", facts.cpu_clock, "CPU clock opens", "CPUs cannot be sampled"),
        counter(facts.cycles),
        perf_paranoid(facts),
        stack_depth(&facts.perf_event_max_stack),
        sample_rate(&facts.perf_event_max_sample_rate),
        kernel_names(facts),
        tracefs(facts.tracefs.as_deref()),
        kprobes(&facts.kprobes),
        helpers(facts),
        spin_locks(&facts.spin_locks),
        cgroups(facts.cgroup_layout),
    ]
}

fn line(mark: Mark, subject: &str, state: impl Into<String>) -> Line {
    Line { mark, subject: subject.to_owned(), state: state.into(), notes: Vec::new(), mend: String::new() }
}

impl Line {
    fn note(mut self, note: &str) -> Self {
        self.notes.push(note.to_owned());
        self
    }

    fn mend(mut self, mend: &str) -> Self {
        self.mend = mend.to_owned();
        self
    }
}

/// A line for a fact that is unknown.
fn untold(subject: &str, why: &str, mend: &str) -> Line {
    let mend = match why {
        _ if why.ends_with("by this user") => "run as root to tell",
        _ if why.ends_with("does not tell it") => "",
        _ => mend,
    };
    line(Mark::Warn, subject, format!("unknown ({why})")).mend(mend)
}

const MOUNT_SECURITYFS: &str = "mount -t securityfs securityfs /sys/kernel/security";

fn kernel(facts: &Facts) -> Line {
    match facts.version {
        (0, 0) => line(Mark::Warn, "kernel", facts.release.as_str())
            .note("version unknown (the release does not begin with numbers)"),
        version if version < (5, 10) => line(Mark::Warn, "kernel", facts.release.as_str())
            .note("older than any kernel this tool is tested on")
            .mend("Linux 5.10 or newer"),
        _ => line(Mark::Ok, "kernel", facts.release.as_str()),
    }
}

fn btf(btf: &Btf) -> Line {
    match btf.trouble() {
        None => line(Mark::Ok, "BTF", "readable"),
        Some(why) => {
            line(Mark::No, "BTF", "none").note(&why).mend("a kernel built with CONFIG_DEBUG_INFO_BTF")
        }
    }
}

fn lockdown(lockdown: &Told<String>) -> Line {
    match lockdown {
        Told::Not(why) => untold("lockdown", why, MOUNT_SECURITYFS),
        Told::Is(mode) if mode == "confidentiality" => line(Mark::No, "lockdown", mode.as_str())
            .note("programs may not read kernel memory; kprobes and tracefs are closed")
            .mend("boot without lockdown=confidentiality"),
        Told::Is(mode) => line(Mark::Ok, "lockdown", mode.as_str()),
    }
}

/// A program of the bpf module attaches on every kernel and fires only where that module is active.
fn lsms(lsms: &Told<Vec<String>>, programs: usize) -> Line {
    let names = match lsms {
        Told::Not(why) => return untold("LSMs", why, MOUNT_SECURITYFS),
        Told::Is(names) => names,
    };
    let told = line(Mark::Ok, "LSMs", names.join(", "));
    let plural = if programs == 1 { "" } else { "s" };
    match (names.iter().any(|name| name == "bpf"), programs) {
        (true, 0) => told,
        (true, _) => told.note(&format!("{programs} BPF program{plural} for LSM hooks loaded by others")),
        (false, 0) => told.note("without bpf: BPF programs for LSM hooks would attach and never fire"),
        (false, _) => Line { mark: Mark::Warn, ..told }
            .note(&format!(
                "{programs} BPF program{plural} for LSM hooks loaded; without bpf they never fire"
            ))
            .mend("boot with bpf in the list of lsm="),
    }
}

fn place(place: Place) -> Line {
    match place {
        Place::Host | Place::DebugPod => line(Mark::Ok, "runs in", place.name()),
        Place::Container => line(Mark::Warn, "runs in", place.name())
            .mend("run on the host, or start the container with --privileged --pid=host"),
        Place::UserNamespace => line(Mark::No, "runs in", place.name())
            .mend("run as root of the host (sudo), outside the namespace"),
    }
}

fn capabilities(facts: &Facts) -> Line {
    let lacking = facts.capabilities.lacking();
    let grant = "run as root (sudo), or setcap cap_bpf,cap_perfmon,cap_syslog,cap_sys_ptrace,\
                 cap_checkpoint_restore,cap_dac_read_search+ep PROFILER";
    // Old memory accounting is the only thing root itself may lack without loss.
    let needed = |capability: &Capability| match capability {
        Capability::SysResource => facts.version < (5, 11),
        Capability::SysAdmin => false,
        _ => true,
    };
    let missing: Vec<&Capability> = lacking.iter().filter(|capability| needed(capability)).collect();
    let who = if facts.uid == 0 { "root".to_owned() } else { format!("uid {}", facts.uid) };
    let notes = purposes(&lacking);
    if missing.is_empty() {
        return Line { notes, ..line(Mark::Ok, "capabilities", format!("{who}, all that are needed")) };
    }
    let vital = [Capability::Bpf, Capability::Perfmon].iter().any(|capability| missing.contains(&capability));
    let stood_in = facts.capabilities.has(Capability::SysAdmin);
    let mark = if vital && !stood_in { Mark::No } else { Mark::Warn };
    let state = format!("{who}, {} missing", missing.len());
    Line { notes, ..line(mark, "capabilities", state) }.mend(grant)
}

/// One phrase for each missing capability.
fn purposes(lacking: &[Capability]) -> Vec<String> {
    lacking.iter().map(|capability| format!("no {}: {}", capability.name(), capability.purpose())).collect()
}

fn trial(subject: &str, trial: Trial, works: &str, fails: &str) -> Line {
    match trial.trouble(fails) {
        None => line(Mark::Ok, subject, works),
        Some(_) => line(Mark::No, subject, refusal(trial)).note(fails),
    }
}

fn refusal(trial: Trial) -> String {
    trial.trouble("it").unwrap_or_default()
}

fn counter(cycles: Trial) -> Line {
    match cycles {
        Trial::Works => line(Mark::Ok, "cycle counter", "opens")
            .note("this version samples by the CPU clock all the same"),
        Trial::Refused(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => {
            line(Mark::Warn, "cycle counter", "none")
                .note("samples come from the CPU clock, which is blind while interrupts are off")
        }
        Trial::Refused(_) => {
            line(Mark::Warn, "cycle counter", "unknown (perf events are refused to this user)")
                .mend("run as root to tell")
        }
    }
}

fn unprivileged(value: &Told<i64>) -> Line {
    let subject = "unprivileged bpf";
    match value {
        Told::Not(why) => untold(subject, why, "none: older kernels have no such setting"),
        Told::Is(0) => {
            line(Mark::Ok, subject, "allowed (0)").note("tracing programs need privileges all the same")
        }
        Told::Is(value) => line(Mark::Ok, subject, format!("disabled ({value})")),
    }
}

fn perf_paranoid(facts: &Facts) -> Line {
    let subject = "perf paranoia";
    match &facts.perf_event_paranoid {
        Told::Not(why) => untold(subject, why, "a kernel with CONFIG_PERF_EVENTS"),
        Told::Is(value) => {
            let set = line(Mark::Ok, subject, format!("perf_event_paranoid {value}"));
            let exempt = [Capability::Perfmon, Capability::SysAdmin];
            if exempt.iter().any(|capability| facts.capabilities.has(*capability)) {
                set.note("does not bind this process")
            } else if *value > -1 {
                Line { mark: Mark::Warn, ..set }
                    .note("binds this user: no sampling of whole CPUs")
                    .mend("run as root, or with CAP_PERFMON")
            } else {
                set
            }
        }
    }
}

fn stack_depth(frames: &Told<i64>) -> Line {
    let subject = "stack depth";
    match frames {
        Told::Not(why) => untold(subject, why, "a kernel with CONFIG_PERF_EVENTS"),
        Told::Is(frames) if *frames < FRAMES => line(Mark::Warn, subject, format!("{frames} frames"))
            .note("deeper stacks are cut, and counted as truncated")
            .mend("sysctl kernel.perf_event_max_stack=127"),
        Told::Is(frames) => line(Mark::Ok, subject, format!("{frames} frames")),
    }
}

fn sample_rate(rate: &Told<i64>) -> Line {
    let subject = "sample rate";
    match rate {
        Told::Not(why) => untold(subject, why, "a kernel with CONFIG_PERF_EVENTS"),
        Told::Is(rate) if *rate < FREQUENCY => line(Mark::Warn, subject, format!("at most {rate} Hz"))
            .note("record lowers its rate to that, and says so")
            .mend("sysctl kernel.perf_event_max_sample_rate=99, or more for a higher -F"),
        Told::Is(rate) => line(Mark::Ok, subject, format!("at most {rate} Hz")),
    }
}

fn kernel_names(facts: &Facts) -> Line {
    let subject = "kernel names";
    let restrict = match &facts.kptr_restrict {
        Told::Is(value) => format!("kptr_restrict {value}"),
        Told::Not(why) => format!("kptr_restrict unknown ({why})"),
    };
    match facts.kernel_names {
        KernelNames::Readable => line(Mark::Ok, subject, format!("readable ({restrict})")),
        KernelNames::Hidden => {
            // From 2 on the setting hides the addresses from root too.
            let for_all = facts.kptr_restrict.known().is_some_and(|value| *value >= 2);
            let mend =
                if for_all { "sysctl kernel.kptr_restrict=1" } else { "run as root, or with CAP_SYSLOG" };
            line(Mark::Warn, subject, format!("hidden ({restrict})"))
                .note("/proc/kallsyms shows zeros: kernel frames stay addresses")
                .mend(mend)
        }
        KernelNames::Missing => line(Mark::Warn, subject, "no /proc/kallsyms")
            .note("kernel frames stay addresses")
            .mend("a kernel with CONFIG_KALLSYMS, and procfs mounted"),
    }
}

fn tracefs(place: Option<&str>) -> Line {
    match place {
        Some(place) => line(Mark::Ok, "tracefs", place),
        None => line(Mark::Ok, "tracefs", "not mounted").note("no probe of this version needs it"),
    }
}

fn kprobes(kprobes: &Told<bool>) -> Line {
    match kprobes {
        Told::Not(why) => untold("kprobes", why, "mount -t sysfs sysfs /sys"),
        Told::Is(true) => line(Mark::Ok, "kprobes", "available"),
        Told::Is(false) => line(Mark::Ok, "kprobes", "none")
            .note("without kprobes, locks and LSM hooks can only be traced by the other backends"),
    }
}

/// Four things that came with different kernels; what is built on each says what it misses without.
fn helpers(facts: &Facts) -> Line {
    let all = [
        (facts.task_storage, "task storage"),
        (facts.current_task, "typed current task"),
        (facts.task_registers, "registers of a task"),
        (facts.recursion_guard, "recursion guard of fentry"),
    ];
    let names = |there: bool| {
        let names = all.iter().filter(|(is, _)| *is == there).map(|(_, name)| *name);
        names.collect::<Vec<_>>().join(", ")
    };
    match (names(true), names(false)) {
        (there, missing) if missing.is_empty() => line(Mark::Ok, "BPF features", there),
        (_, missing) => line(Mark::Ok, "BPF features", format!("without {missing}"))
            .note("state is kept for at most 16,384 threads at once, and fentry cannot time spinlocks"),
    }
}

fn spin_locks(kind: &SpinLocks) -> Line {
    let subject = "spinlocks";
    match kind {
        SpinLocks::Paravirtual => line(Mark::Ok, subject, "paravirtual").note("every waiter is seen"),
        SpinLocks::Native => line(Mark::Ok, subject, "native")
            .note("contention tracepoints do not see the first waiter; slow-path programs do"),
        SpinLocks::TestAndSet => line(Mark::Ok, subject, "test-and-set (guest)")
            .note("contention tracepoints do not see them at all; slow-path programs do"),
        SpinLocks::Unknown(why) => untold(subject, why, "look for `PV spinlocks` in the log of the boot"),
    }
}

fn cgroups(layout: CgroupLayout) -> Line {
    let named = line(Mark::Ok, "cgroups", layout.name());
    match layout {
        CgroupLayout::V2 | CgroupLayout::Hybrid => named,
        CgroupLayout::V1 => named.note("each container is recognized by its controller's own id"),
        CgroupLayout::Unmounted => line(Mark::Warn, "cgroups", "not mounted")
            .note("containers, pods and units cannot be targets; --pid and --comm can")
            .mend("mount -t cgroup2 none /sys/fs/cgroup"),
    }
}
