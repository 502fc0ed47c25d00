//! Where the time went, in a few sentences.
//!
//! In: ranked rows. Out: at most five plain sentences with numbers, the most telling first.

use std::collections::BTreeMap;

use super::fold::Folder;
use super::name::kernel_functions;
use super::rows::{self, CpuLine, LockLine, LsmLine, SyscallLine};
use super::syscalls::{self, CallClass};
use super::{clean, humane, locks};
use crate::profile::rows::{CallNumber, InFlightCall, LockContext};
use crate::profile::{Histogram, Pid, Profile, StackId};

/// Functions that only say "asleep": what called them is what matters.
const ASLEEP: &[&str] = &[
    "__schedule",
    "schedule",
    "schedule_timeout",
    "schedule_hrtimeout_range",
    "schedule_hrtimeout_range_clock",
    "schedule_preempt_disabled",
    "preempt_schedule",
    "preempt_schedule_common",
    "preempt_schedule_irq",
    "schedule_idle",
    "io_schedule",
    "io_schedule_timeout",
    "wait_woken",
    "do_wait_for_common",
    "wait_for_completion",
    "__cond_resched",
    "schedule_hrtimeout",
    "__wait_for_common",
];

/// A hook that takes this part of its call is worth a sentence.
const LSM_TELLING: f64 = 0.05;

/// A call in flight for longer than this comes first.
const HANG_NS: u64 = 1_000_000_000;

/// Ranked rows, made once for all sections.
pub struct Ranked<'p> {
    /// System calls.
    pub syscalls: Vec<SyscallLine<'p>>,
    /// Lock waits.
    pub locks: Vec<LockLine>,
    /// Functions of the security layer.
    pub lsm: Vec<LsmLine<'p>>,
    /// CPU samples.
    pub cpu: Vec<CpuLine>,
}

impl<'p> Ranked<'p> {
    /// Ranks all rows.
    pub fn new(profile: &'p Profile, folder: &mut Folder<'_>) -> Self {
        Self {
            syscalls: rows::syscalls(profile),
            locks: rows::locks(profile),
            lsm: rows::lsm(profile),
            cpu: rows::cpu(profile, folder),
        }
    }
}

/// A process as sentences and tables name it: `container/comm`.
pub fn process(profile: &Profile, pid: Pid) -> String {
    let processes = &profile.processes;
    let comm = clean::name(processes.comm(pid));
    match processes.container(pid) {
        "" => comm.into_owned(),
        container => format!("{}/{comm}", clean::name(container)),
    }
}

/// The first kernel function that says more than "asleep".
pub fn telling_function(profile: &Profile, kernel: StackId) -> Option<&str> {
    kernel_functions(&profile.stacks, kernel).map(locks::base).find(|function| !ASLEEP.contains(function))
}

/// The sentences.
pub fn sentences(profile: &Profile, ranked: &Ranked<'_>) -> Vec<String> {
    let mut sentences = slow_work(profile, ranked);
    // A hang tells more than any slow call; a call that happened to be under way does not.
    let hangs = stuck_calls(profile).first().is_some_and(|call| call.age_ns >= HANG_NS);
    let at = if hangs { 0 } else { sentences.len() };
    sentences.splice(at..at, stuck(profile));
    sentences.extend(lock_waits(profile, ranked));
    sentences.extend(security_layer(profile, ranked));
    sentences.extend(user_locks(profile, ranked));
    sentences.extend(cpu(profile, ranked));
    sentences.truncate(5);
    sentences
}

fn threshold(profile: &Profile) -> String {
    match profile.header.slow_ns {
        0 => String::new(),
        slow => format!(" ≥ {}", humane::setting(slow)),
    }
}

fn slow_work(profile: &Profile, ranked: &Ranked<'_>) -> Vec<String> {
    let mut work: Vec<_> =
        ranked.syscalls.iter().filter(|line| line.class == CallClass::Work && line.slow.count > 0).collect();
    work.sort_by_key(|line| std::cmp::Reverse(line.slow.total_ns));
    if work.is_empty() {
        return nothing_slow(profile, ranked).into_iter().collect();
    }
    let all: u64 = work.iter().map(|line| line.slow.total_ns).fold(0, u64::saturating_add);
    // The second is worth a sentence only beside the first.
    let worth = work.iter().take(2).filter(|line| line.slow.total_ns.saturating_mul(10) >= all);
    worth.map(|line| slow_call(profile, line)).collect()
}

fn slow_call(profile: &Profile, line: &SyscallLine<'_>) -> String {
    let place = mostly_in(profile, line.pid, line.nr).map_or_else(String::new, |place| format!("; {place}"));
    format!(
        "{} in {} (pid {}): {} call{}{}, {} in all ({} off the CPU), longest {}{place}.",
        line.name,
        process(profile, line.pid),
        line.pid.0,
        humane::count(line.slow.count),
        if line.slow.count == 1 { "" } else { "s" },
        threshold(profile),
        humane::duration(line.slow.total_ns),
        humane::part(line.slow.off_cpu_ns, line.slow.total_ns),
        humane::duration(line.slow.max_ns),
    )
}

fn mostly_in(profile: &Profile, pid: Pid, nr: CallNumber) -> Option<String> {
    let mut weights: BTreeMap<&str, u64> = BTreeMap::new();
    let mut total = 0u64;
    for (key, row) in profile.syscall.slow.iter().filter(|(key, _)| (key.pid, key.nr) == (pid, nr)) {
        total = total.saturating_add(row.total_ns);
        if let Some(function) = telling_function(profile, key.kernel) {
            let weight = weights.entry(function).or_default();
            *weight = weight.saturating_add(row.total_ns);
        }
    }
    let (function, weight) = weights.into_iter().max_by_key(|(_, weight)| *weight)?;
    Some(format!("{} of it in {}", humane::part(weight, total), clean::name(function)))
}

fn nothing_slow(profile: &Profile, ranked: &Ranked<'_>) -> Option<String> {
    let mut all = Histogram::default();
    for line in ranked.syscalls.iter().filter(|line| line.class == CallClass::Work) {
        all.merge(&line.row.latency);
    }
    (all.count() > 0).then(|| {
        format!(
            "No system call at work took{}: {} seen, p99.9 {}, longest {}.",
            threshold(profile),
            humane::count(all.count()),
            humane::duration(all.percentile_ns(999)),
            humane::duration(all.max_ns)
        )
    })
}

/// Calls in flight that are neither idle nor shorter than the threshold, oldest first.
pub fn stuck_calls(profile: &Profile) -> Vec<&InFlightCall> {
    let slow = profile.header.slow_ns;
    let mut calls: Vec<_> = profile
        .in_flight
        .iter()
        .filter(|call| call.age_ns >= slow && syscalls::class(call.nr) == CallClass::Work)
        .collect();
    calls.sort_by_key(|call| (std::cmp::Reverse(call.age_ns), call.tid));
    calls
}

fn stuck(profile: &Profile) -> Option<String> {
    let calls = stuck_calls(profile);
    let oldest = calls.first()?;
    let place = telling_function(profile, oldest.kernel);
    Some(format!(
        "{} had not returned at the end, the oldest after {}{}: {} in {} (pid {}, tid {}){}.",
        plural(calls.len() as u64, "call"),
        if oldest.at_least { "more than " } else { "" },
        humane::duration(oldest.age_ns),
        syscalls::name(oldest.nr),
        process(profile, oldest.pid),
        oldest.pid.0,
        oldest.tid.0,
        place.map_or_else(String::new, |function| format!(", in {}", clean::name(function))),
    ))
}

fn lock_waits(profile: &Profile, ranked: &Ranked<'_>) -> Option<String> {
    let worst = ranked.locks.first()?;
    let all: u64 = ranked.locks.iter().map(|line| line.wait.total_ns).fold(0, u64::saturating_add);
    let waits: u64 = ranked.locks.iter().map(|line| line.wait.count()).fold(0, u64::saturating_add);
    if all < profile.duration_ns / 1000 {
        let all = humane::duration(all);
        return Some(format!("Kernel locks: next to nothing, {all} waited in {}.", plural(waits, "wait")));
    }
    let who = match worst.context {
        LockContext::Task => format!("{} (pid {})", process(profile, worst.pid), worst.pid.0),
        LockContext::Softirq | LockContext::Hardirq | LockContext::Nmi => "interrupts".to_owned(),
    };
    Some(format!(
        "Kernel locks: {} waited in all, {} of it by {who} for the {} [{}]{}: {}, longest {}.",
        humane::duration(all),
        humane::part(worst.wait.total_ns, all),
        worst.kind.name(),
        clean::name(&worst.name.lock),
        caller(&worst.name.caller),
        plural(worst.wait.count(), "wait"),
        humane::duration(worst.wait.max_ns),
    ))
}

fn caller(caller: &str) -> String {
    if caller.is_empty() { String::new() } else { format!(" in {}", clean::name(caller)) }
}

/// What the heaviest hook takes of the call it is in, and which module of the hook.
fn security_layer(profile: &Profile, ranked: &Ranked<'_>) -> Option<String> {
    // Time in interrupts is in no call.
    let hook = ranked.lsm.iter().find(|line| line.site.module.is_empty() && line.pid != Pid(0))?;
    let call = hook.calls.first()?;
    let share = call.share.filter(|share| *share >= LSM_TELLING)?;
    let same = |line: &&LsmLine<'_>| line.pid == hook.pid && line.site.hook == hook.site.hook;
    let module = ranked.lsm.iter().filter(same).find(|line| !line.site.module.is_empty());
    let module = module.map_or_else(String::new, |line| {
        let of_hook =
            line.of_hook.map_or_else(String::new, |share| format!(", {} of that", humane::share(share)));
        format!("; most of it {}{of_hook}", clean::name(&line.site.module))
    });
    let label = match profile.processes.label(hook.pid) {
        "" => String::new(),
        label => format!(" under {}", clean::name(label)),
    };
    Some(format!(
        "Security layer: {} of {} in {} (pid {}){label} is {}{module}.",
        humane::share(share),
        syscalls::name(call.nr),
        process(profile, hook.pid),
        hook.pid.0,
        clean::name(&hook.site.function),
    ))
}

fn user_locks(profile: &Profile, ranked: &Ranked<'_>) -> Option<String> {
    let lines =
        || ranked.syscalls.iter().filter(|line| line.class == CallClass::UserLock && line.slow.count > 0);
    let worst = lines().max_by_key(|line| line.slow.total_ns)?;
    let calls = lines().map(|line| line.slow.count).fold(0, u64::saturating_add);
    let total = lines().map(|line| line.slow.total_ns).fold(0, u64::saturating_add);
    Some(format!(
        "User locks (futex): {}{}, {} in all (parked threads included), {} of it in {} (pid {}).",
        plural(calls, "wait"),
        threshold(profile),
        humane::duration(total),
        humane::part(worst.slow.total_ns, total),
        process(profile, worst.pid),
        worst.pid.0,
    ))
}

fn cpu(profile: &Profile, ranked: &Ranked<'_>) -> Option<String> {
    let (pid, samples) = cpu_by_process(&ranked.cpu).into_iter().next()?;
    let top = ranked.cpu.iter().find(|line| line.pid == pid)?;
    let all: u64 = ranked.cpu.iter().map(|line| line.samples).fold(0, u64::saturating_add);
    Some(format!(
        "CPU: {} of {} samples in {} (pid {}), {} of those in {}.",
        humane::part(samples, all),
        humane::count(all),
        process(profile, pid),
        pid.0,
        humane::part(top.samples, samples),
        top.function,
    ))
}

/// Samples per process, most first.
pub fn cpu_by_process(lines: &[CpuLine]) -> Vec<(Pid, u64)> {
    let mut sums: BTreeMap<Pid, u64> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry(line.pid).or_default();
        *sum = sum.saturating_add(line.samples);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, samples)| std::cmp::Reverse(*samples));
    sums
}

fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", humane::count(number), if number == 1 { "" } else { "s" })
}
