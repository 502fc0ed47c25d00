//! The plan on made-up machines.

use super::capability::CapabilitySet;
use super::facts::{Btf, KernelNames, Place};
use super::spinlock::SpinLocks;
use super::trial::Trial;
use super::*;
use crate::machine::{CgroupLayout, Told};
use crate::probes::lock::plan::{SLEEP, SPIN};

/// A machine on which everything works.
pub(crate) fn capable() -> Facts {
    Facts {
        release: "6.12.107+deb13-amd64".to_owned(),
        version: (6, 12),
        uid: 0,
        btf: Btf::Readable,
        lockdown: Told::Is("none".to_owned()),
        lsms: Told::Is(vec!["lockdown".to_owned(), "apparmor".to_owned(), "bpf".to_owned()]),
        bpf_lsm_programs: 0,
        capabilities: CapabilitySet(u64::MAX),
        seccomp: false,
        place: Place::Host,
        kernel_names: KernelNames::Readable,
        kptr_restrict: Told::Is(0),
        tracefs: Some("/sys/kernel/tracing".to_owned()),
        perf_event_paranoid: Told::Is(2),
        perf_event_max_stack: Told::Is(127),
        perf_event_max_sample_rate: Told::Is(100_000),
        unprivileged_bpf_disabled: Told::Is(2),
        kprobes: Told::Is(true),
        trampolines: Trial::Works,
        contention: true,
        request_start: true,
        send_length: true,
        sleeping_trampolines: true,
        task_storage: true,
        current_task: true,
        task_registers: true,
        recursion_guard: true,
        spin_locks: SpinLocks::Paravirtual,
        cgroup_layout: CgroupLayout::V2,
        load: Trial::Works,
        read_kernel: Trial::Works,
        cpu_clock: Trial::Works,
        cycles: Trial::Refused(libc::ENOENT),
    }
}

/// The same machine seen by a user without rights.
pub(crate) fn unprivileged() -> Facts {
    Facts {
        uid: 65534,
        lockdown: Told::Not("/sys/kernel/security/lockdown is not readable by this user".to_owned()),
        lsms: Told::Not("/sys/kernel/security/lsm is not readable by this user".to_owned()),
        capabilities: CapabilitySet(0),
        kernel_names: KernelNames::Hidden,
        spin_locks: SpinLocks::Unknown("the boot log is not readable by this user".to_owned()),
        trampolines: Trial::Refused(libc::EPERM),
        load: Trial::Refused(libc::EPERM),
        read_kernel: Trial::Refused(libc::EPERM),
        cpu_clock: Trial::Refused(libc::EACCES),
        cycles: Trial::Refused(libc::EACCES),
        ..capable()
    }
}

/// Linux 5.10, as Debian 11 has it.
pub(crate) fn old_kernel() -> Facts {
    Facts {
        release: "5.10.0-46-amd64".to_owned(),
        version: (5, 10),
        contention: false,
        request_start: false,
        send_length: false,
        task_storage: false,
        current_task: false,
        task_registers: false,
        recursion_guard: false,
        spin_locks: SpinLocks::Native,
        ..capable()
    }
}

/// The notes of the plan, as a capture's header keeps them.
fn plan(facts: &Facts, probes: &[Probe]) -> Vec<ProbePlan> {
    probes.iter().map(|probe| assess(facts, *probe, &Forced::default()).note()).collect()
}

/// The names of a part's candidates in order.
fn candidates(facts: &Facts, part: ProbePart, forced: &[&str]) -> Vec<&'static str> {
    let typed: Vec<String> = forced.iter().map(|text| (*text).to_owned()).collect();
    let assessed = assess(facts, Probe::Lock, &Forced::parse(&typed).unwrap());
    let choice = assessed.choices.iter().find(|choice| choice.part == part).unwrap();
    choice.candidates.iter().map(|backend| backend.name).collect()
}

fn active(plans: &[ProbePlan]) -> Vec<&str> {
    plans.iter().filter(|plan| plan.active).map(|plan| plan.probe.as_str()).collect()
}

fn all() -> Vec<&'static str> {
    Probe::ALL.iter().map(|probe| probe.name()).collect()
}

fn told(plan: &ProbePlan, words: &str) -> bool {
    plan.misses.iter().any(|sentence| sentence.contains(words))
}

#[test]
fn everything_runs_on_a_capable_machine() {
    let plans = plan(&capable(), Probe::ALL);
    assert_eq!(active(&plans), all());
    assert_eq!(plans[0].backend, "raw-tracepoint + btf-tracepoint");
    assert_eq!(plans[1].backend, "contention");
    assert_eq!(plans[2].backend, "fentry");
    assert_eq!([&plans[3].backend, &plans[4].backend], ["btf-tracepoint"; 2]);
    assert_eq!([&plans[5].backend, &plans[6].backend], ["cpu-clock", "io-start"]);
    assert!(!plans.iter().any(|plan| told(plan, "fix:")), "{plans:?}");
}

#[test]
fn only_the_probes_asked_for_are_planned() {
    let plans = plan(&capable(), &[Probe::Cpu]);
    assert_eq!(active(&plans), ["cpu"]);
    assert_eq!(plans.len(), 1);
}

#[test]
fn without_rights_nothing_runs_and_each_probe_names_the_mend() {
    let plans = plan(&unprivileged(), Probe::ALL);
    assert_eq!(active(&plans), Vec::<&str>::new());
    for plan in &plans {
        assert!(told(plan, "fix: run as root"), "{plan:?}");
        assert_eq!(plan.backend, "");
    }
    assert!(told(&plans[0], "CAP_BPF and CAP_PERFMON missing"), "{plans:?}");
    assert!(told(&plans[5], "perf_event_open() is refused (EACCES)"), "{plans:?}");
}

#[test]
fn linux_5_10_waits_by_slow_paths_and_has_a_bounded_number_of_threads() {
    let plans = plan(&old_kernel(), Probe::ALL);
    assert_eq!(active(&plans), all());
    assert!(told(&plans[0], "16,384 at once"), "{plans:?}");
    assert_eq!(plans[1].backend, "spin kprobe + sleep fentry");
    assert!(told(&plans[1], "rt-mutexes"), "{plans:?}");
    assert_eq!(plans[6].backend, "getrq");
}

#[test]
fn a_program_that_could_deadlock_is_no_candidate_even_when_forced() {
    // No recursion guard before 5.12, and trampolines that are freed under a sleeper.
    let facts = Facts { sleeping_trampolines: false, ..old_kernel() };
    assert_eq!(candidates(&facts, SPIN, &["lock=fentry"]), ["kprobe"]);
    assert_eq!(candidates(&facts, SLEEP, &["lock=fentry"]), ["kprobe"]);
    let assessed = assess(&facts, Probe::Lock, &Forced::default());
    let refused = |choice: &Choice| choice.refused.iter().any(|(backend, _)| backend.name == "fentry");
    assert!(assessed.choices.iter().all(refused), "{assessed:?}");
}

#[test]
fn where_the_tracepoints_are_blind_spins_go_by_the_slow_path() {
    for spin_locks in [SpinLocks::Native, SpinLocks::TestAndSet, SpinLocks::Unknown(String::new())] {
        let facts = Facts { spin_locks, ..capable() };
        assert_eq!(candidates(&facts, SPIN, &[]), ["fentry", "kprobe", "contention"]);
        assert_eq!(candidates(&facts, SLEEP, &[]), ["contention", "fentry", "kprobe"]);
    }
    assert_eq!(candidates(&capable(), SPIN, &[]), ["contention", "fentry", "kprobe"]);
}

#[test]
fn what_is_forced_goes_first_and_the_others_stay_behind_it() {
    assert_eq!(candidates(&capable(), SPIN, &["lock=kprobe"]), ["kprobe", "contention", "fentry"]);
    assert_eq!(candidates(&capable(), SLEEP, &["lock.spin=kprobe"]), ["contention", "fentry", "kprobe"]);
}

#[test]
fn what_is_seen_follows_the_backends_that_in_fact_run() {
    let facts = Facts { spin_locks: SpinLocks::TestAndSet, kprobes: Told::Is(false), ..capable() };
    let planned = assess(&facts, Probe::Lock, &Forced::default());
    assert_eq!(planned.backend_name(), "spin fentry + sleep contention");
    let contention: Vec<_> = table::backends().filter(|backend| backend.name == "contention").collect();
    let settled = planned.settled(&facts, &contention);
    assert_eq!(settled.backend_name(), "contention");
    assert!(told(&settled.note(), "waits are unseen"), "{settled:?}");
    let half = planned.settled(&facts, &contention[1..]);
    assert!(told(&half.note(), "not measured at all") && half.note().active, "{half:?}");
    assert!(!planned.settled(&facts, &[]).note().active);
}

#[test]
fn without_trampolines_the_security_layer_goes_by_kprobe() {
    let facts = Facts { trampolines: Trial::Refused(libc::EPERM), ..capable() };
    assert_eq!(plan(&facts, &[Probe::Lsm])[0].backend, "kprobe");
    let none = Facts { kprobes: Told::Is(false), ..facts };
    let plan = &plan(&none, &[Probe::Lsm])[0];
    assert!(!plan.active && told(plan, "kernel function is refused (EPERM)"), "{plan:?}");
    assert!(told(plan, "without kprobes"), "{plan:?}");
}

#[test]
fn threads_are_few_where_one_of_three_helpers_is_missing() {
    // 5.12 to 5.14 have task storage, and not the registers of a task.
    let between = Facts { task_registers: false, ..capable() };
    assert!(told(&plan(&between, &[Probe::Syscall])[0], "16,384 at once"));
    assert!(!told(&plan(&capable(), &[Probe::Syscall])[0], "16,384 at once"));
    assert_eq!(candidates(&between, SPIN, &[])[1], "fentry", "the guard is another fact");
}

#[test]
fn a_carried_back_tracepoint_counts_on_an_old_release() {
    let facts =
        Facts { release: "5.14.0-427.el9".to_owned(), contention: true, version: (5, 14), ..old_kernel() };
    assert_eq!(active(&plan(&facts, Probe::ALL)), all());
}

#[test]
fn without_btf_calls_are_counted_but_their_waits_have_no_stack() {
    let plans = plan(&Facts { btf: Btf::Missing, ..capable() }, Probe::ALL);
    assert_eq!(active(&plans), ["syscall", "lsm", "cpu"]);
    assert_eq!(plans[0].backend, "raw-tracepoint");
    assert!(told(&plans[0], "no kernel stack of their wait"), "{plans:?}");
    assert!(told(&plans[1], "CONFIG_DEBUG_INFO_BTF"), "{plans:?}");
}

#[test]
fn lockdown_confidentiality_takes_the_stacks_of_waits_and_is_named() {
    let locked = Told::Is("confidentiality".to_owned());
    let facts = Facts { lockdown: locked, read_kernel: Trial::Refused(libc::EINVAL), ..capable() };
    let plans = plan(&facts, Probe::ALL);
    assert_eq!(plans[0].backend, "raw-tracepoint");
    assert!(told(&plans[0], "lockdown is confidentiality"), "{plans:?}");
    assert!(told(&plans[0], "fix: boot without lockdown=confidentiality"), "{plans:?}");
}

#[test]
fn what_the_lock_probe_misses_depends_on_the_spinlocks() {
    let sentence = |spin_locks| {
        let facts = Facts { spin_locks, ..capable() };
        let forced = Forced::parse(&["lock=contention".to_owned()]).unwrap();
        let plan = assess(&facts, Probe::Lock, &forced).note();
        plan.misses.iter().find(|sentence| sentence.contains("pinlock")).cloned()
    };
    assert_eq!(sentence(SpinLocks::Paravirtual), None);
    assert!(sentence(SpinLocks::Native).is_some_and(|text| text.contains("first waiter")));
    assert!(sentence(SpinLocks::TestAndSet).is_some_and(|text| text.contains("waits are unseen")));
    assert!(sentence(SpinLocks::Unknown(String::new())).is_some_and(|text| text.contains("unknown")));
}

#[test]
fn where_trampolines_are_refused_no_lock_is_hooked_by_them() {
    let unknown = SpinLocks::Unknown(String::new());
    let facts = Facts { trampolines: Trial::Refused(libc::EPERM), spin_locks: unknown, ..capable() };
    for part in [SPIN, SLEEP] {
        let found = candidates(&facts, part, &[]);
        assert!(!found.contains(&"fentry") && found.contains(&"contention"), "{found:?}");
    }
}

#[test]
fn hidden_kernel_names_are_a_miss_of_every_probe_with_stacks() {
    let plans = plan(&Facts { kernel_names: KernelNames::Hidden, ..capable() }, Probe::ALL);
    let with_stacks = ["syscall", "lock", "lsm", "offcpu", "cpu"];
    let mut named = plans.iter().filter(|plan| with_stacks.contains(&plan.probe.as_str()));
    assert!(named.all(|plan| told(plan, "kernel addresses only")), "{plans:?}");
}

#[test]
fn root_that_is_refused_learns_where_to_look() {
    let refused =
        |facts: Facts| plan(&Facts { load: Trial::Refused(libc::EPERM), ..facts }, &[Probe::Syscall]);
    assert!(told(&refused(Facts { place: Place::UserNamespace, ..capable() })[0], "user namespace"));
    assert!(told(&refused(Facts { seccomp: true, ..capable() })[0], "seccomp"));
    assert!(told(&refused(old_kernel())[0], "ulimit -l unlimited"));
}

#[test]
fn each_probe_has_a_backend_and_names_are_unique_within_it() {
    for probe in Probe::ALL {
        let of_probe = table::backends().filter(|backend| backend.probe == *probe);
        let mut names: Vec<_> = of_probe.map(|backend| (backend.part.name, backend.name)).collect();
        assert!(!names.is_empty(), "{probe}");
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{probe}");
    }
}

#[test]
fn one_errno_has_more_than_one_cause_and_the_mend_is_of_what_was_checked() {
    let mend = |errno, facts: Facts| {
        let facts = Facts { cpu_clock: Trial::Refused(errno), ..facts };
        assess(&facts, Probe::Cpu, &Forced::default()).obstacles[0].mend.clone()
    };
    assert!(mend(libc::EPERM, Facts { seccomp: true, ..capable() }).contains("seccomp profile"));
    assert!(mend(libc::EPERM, Facts { place: Place::UserNamespace, ..capable() }).contains("host"));
    assert!(mend(libc::EPERM, unprivileged()).contains("capabilities"));
    for errno in [libc::EPERM, libc::EINVAL] {
        assert!(mend(errno, capable()).contains("were checked and allow it"), "{errno}");
    }
    assert!(mend(libc::EINVAL, Facts { seccomp: true, ..capable() }).contains("were checked and allow it"));
    assert!(mend(libc::EMFILE, capable()).contains("ulimit -n"));
    assert!(mend(libc::ENOMEM, capable()).contains("memory limit"));
}

#[test]
fn sends_are_compared_for_the_sake_of_samples_only() {
    let facts = capable();
    let name = |probes: &[Probe]| {
        let probes = probes.iter().copied().collect();
        assess(&facts, Probe::Peer, &Forced::default()).beside(&facts, probes).note()
    };
    assert_eq!(name(&[Probe::Peer, Probe::Cpu]).backend, "rcv-space + send send-length");
    let alone = name(&[Probe::Peer]);
    assert_eq!((alone.backend.as_str(), told(&alone, "Whose CPU time")), ("rcv-space", false));
}
