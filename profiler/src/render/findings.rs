//! Where the time went, in a few sentences.
//!
//! In: ranked rows, counters. Out: findings, the most telling first; the first five are told. A
//! finding comes from a rule: a function that is silent without its number. A new rule is one line
//! in [`RULES`] and, where none fits, one in [`rank`].

pub mod counters;
mod parts;
mod rule;
mod window;

use std::collections::BTreeMap;

pub use rule::{Confidence, Finding, Rule, rank};
pub use window::Window;

use super::fold::Folder;
use super::name::kernel_functions;
use super::rows::{self, CpuLine, LockLine, SyscallLine};
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

/// A call in flight for longer than this comes first.
const HANG_NS: u64 = 1_000_000_000;

/// Ranked rows, made once for all sections.
pub struct Ranked<'p> {
    /// System calls.
    pub syscalls: Vec<SyscallLine<'p>>,
    /// Lock waits.
    pub locks: Vec<LockLine>,
    /// CPU samples.
    pub cpu: Vec<CpuLine>,
}

impl<'p> Ranked<'p> {
    /// Ranks all rows.
    pub fn new(profile: &'p Profile, folder: &mut Folder<'_>) -> Self {
        Self {
            syscalls: rows::syscalls(profile),
            locks: rows::locks(profile),
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

/// Findings that are told at most.
const TOLD: usize = 5;

/// Rules about rows; those about counters are in [`counters::RULES`].
const RULES: &[Rule] = &[stuck, slowest, second_slowest, nothing_slow, lock_waits, user_locks, cpu];

/// All findings, the most telling first.
pub fn all(profile: &Profile, ranked: &Ranked<'_>) -> Vec<Finding> {
    let rules = RULES.iter().chain(counters::RULES);
    let mut found: Vec<Finding> = rules.filter_map(|rule| rule(profile, ranked)).collect();
    found.sort_by_key(|finding| finding.rank);
    found
}

/// The sentences that are told.
pub fn sentences(found: &[Finding]) -> Vec<String> {
    found.iter().take(TOLD).map(|finding| finding.sentence.clone()).collect()
}

fn threshold(profile: &Profile) -> String {
    match profile.header.slow_ns {
        0 => String::new(),
        slow => format!(" ≥ {}", humane::setting(slow)),
    }
}

/// Slow calls at work, longest total first.
fn slow_work<'r, 'p>(ranked: &'r Ranked<'p>) -> Vec<&'r SyscallLine<'p>> {
    let mut work: Vec<_> =
        ranked.syscalls.iter().filter(|line| line.class == CallClass::Work && line.slow.count > 0).collect();
    work.sort_by_key(|line| std::cmp::Reverse(line.slow.total_ns));
    work
}

fn slowest(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let work = slow_work(ranked);
    work.first().map(|line| slow_finding(profile, ranked, line, ("slow_call", rank::SLOW)))
}

/// The second is worth a sentence only beside the first: a tenth of all.
fn second_slowest(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let work = slow_work(ranked);
    let all: u64 = work.iter().map(|line| line.slow.total_ns).fold(0, u64::saturating_add);
    let second = work.get(1).filter(|line| line.slow.total_ns.saturating_mul(10) >= all);
    second.map(|line| slow_finding(profile, ranked, line, ("slow_call_too", rank::SLOW_TOO)))
}

fn slow_finding(
    profile: &Profile,
    ranked: &Ranked<'_>,
    line: &SyscallLine<'_>,
    (rule, rank): (&'static str, u8),
) -> Finding {
    // Captures of version 1 have no parts.
    parts::finding(profile, ranked, line, (rule, rank)).unwrap_or_else(|| Finding {
        rule,
        rank,
        sentence: slow_call(profile, line),
        confidence: Confidence::High,
        threshold: "calls ≥ slow_ns",
        evidence: vec![
            ("calls", line.slow.count),
            ("total_ns", line.slow.total_ns),
            ("off_cpu_ns", line.slow.off_cpu_ns),
            ("max_ns", line.slow.max_ns),
            ("slow_ns", profile.header.slow_ns),
        ],
    })
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

/// That nothing was slow is an answer, too.
fn nothing_slow(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    if !slow_work(ranked).is_empty() {
        return None;
    }
    let mut all = Histogram::default();
    for line in ranked.syscalls.iter().filter(|line| line.class == CallClass::Work) {
        all.merge(&line.row.latency);
    }
    (all.count() > 0).then(|| Finding {
        rule: "nothing_slow",
        rank: rank::SLOW,
        sentence: format!(
            "No system call at work took{}: {} seen, p99.9 {}, longest {}.",
            threshold(profile),
            humane::count(all.count()),
            humane::duration(all.percentile_ns(999)),
            humane::duration(all.max_ns)
        ),
        confidence: Confidence::High,
        threshold: "no call ≥ slow_ns",
        evidence: vec![
            ("calls", all.count()),
            ("p999_ns", all.percentile_ns(999)),
            ("max_ns", all.max_ns),
            ("slow_ns", profile.header.slow_ns),
        ],
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

/// A hang tells more than any slow call; a call that happened to be under way does not.
fn stuck(profile: &Profile, _: &Ranked<'_>) -> Option<Finding> {
    let calls = stuck_calls(profile);
    let oldest = calls.first()?;
    let place = telling_function(profile, oldest.kernel);
    let sentence = format!(
        "{} had not returned at the end, the oldest after {}{}: {} in {} (pid {}, tid {}){}.",
        plural(calls.len() as u64, "call"),
        if oldest.at_least { "more than " } else { "" },
        humane::duration(oldest.age_ns),
        syscalls::name(oldest.nr),
        process(profile, oldest.pid),
        oldest.pid.0,
        oldest.tid.0,
        place.map_or_else(String::new, |function| format!(", in {}", clean::name(function))),
    );
    Some(Finding {
        rule: "in_flight",
        rank: if oldest.age_ns >= HANG_NS { rank::HANG } else { rank::UNDER_WAY },
        sentence,
        confidence: Confidence::High,
        threshold: "age ≥ slow_ns, first when ≥ 1 s",
        evidence: vec![("calls", calls.len() as u64), ("age_ns", oldest.age_ns)],
    })
}

/// Less than a thousandth of the time is next to nothing.
fn lock_waits(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let worst = ranked.locks.first()?;
    let all: u64 = ranked.locks.iter().map(|line| line.wait.total_ns).fold(0, u64::saturating_add);
    let waits: u64 = ranked.locks.iter().map(|line| line.wait.count()).fold(0, u64::saturating_add);
    let little = all < profile.duration_ns / 1000;
    let sentence = if little {
        let all = humane::duration(all);
        format!("Kernel locks: next to nothing, {all} waited in {}.", plural(waits, "wait"))
    } else {
        worst_lock(profile, worst, all)
    };
    Some(Finding {
        rule: "lock_waits",
        rank: if little { rank::LEAST } else { rank::LOCKS },
        sentence,
        confidence: Confidence::High,
        threshold: "≥ 0.1 % of the time, else last",
        evidence: vec![
            ("total_ns", all),
            ("waits", waits),
            ("worst_total_ns", worst.wait.total_ns),
            ("worst_waits", worst.wait.count()),
            ("worst_max_ns", worst.wait.max_ns),
        ],
    })
}

fn worst_lock(profile: &Profile, worst: &LockLine, all: u64) -> String {
    let who = match worst.context {
        LockContext::Task => format!("{} (pid {})", process(profile, worst.pid), worst.pid.0),
        LockContext::Softirq | LockContext::Hardirq | LockContext::Nmi => "interrupts".to_owned(),
    };
    format!(
        "Kernel locks: {} waited in all, {} of it by {who} for the {} [{}]{}: {}, longest {}.",
        humane::duration(all),
        humane::part(worst.wait.total_ns, all),
        worst.kind.name(),
        clean::name(&worst.name.lock),
        caller(&worst.name.caller),
        plural(worst.wait.count(), "wait"),
        humane::duration(worst.wait.max_ns),
    )
}

fn caller(caller: &str) -> String {
    if caller.is_empty() { String::new() } else { format!(" in {}", clean::name(caller)) }
}

fn user_locks(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let lines =
        || ranked.syscalls.iter().filter(|line| line.class == CallClass::UserLock && line.slow.count > 0);
    let worst = lines().max_by_key(|line| line.slow.total_ns)?;
    let calls = lines().map(|line| line.slow.count).fold(0, u64::saturating_add);
    let total = lines().map(|line| line.slow.total_ns).fold(0, u64::saturating_add);
    let sentence = format!(
        "User locks (futex): {}{}, {} in all (parked threads included), {} of it in {} (pid {}).",
        plural(calls, "wait"),
        threshold(profile),
        humane::duration(total),
        humane::part(worst.slow.total_ns, total),
        process(profile, worst.pid),
        worst.pid.0,
    );
    Some(Finding {
        rule: "user_locks",
        rank: rank::USER_LOCKS,
        sentence,
        confidence: Confidence::Low,
        threshold: "waits ≥ slow_ns",
        evidence: vec![("waits", calls), ("total_ns", total), ("worst_total_ns", worst.slow.total_ns)],
    })
}

fn cpu(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let (pid, samples) = cpu_by_process(&ranked.cpu).into_iter().next()?;
    let top = ranked.cpu.iter().find(|line| line.pid == pid)?;
    let all: u64 = ranked.cpu.iter().map(|line| line.samples).fold(0, u64::saturating_add);
    let sentence = format!(
        "CPU: {} of {} samples in {} (pid {}), {} of those in {}.",
        humane::part(samples, all),
        humane::count(all),
        process(profile, pid),
        pid.0,
        humane::part(top.samples, samples),
        top.function,
    );
    Some(Finding {
        rule: "cpu",
        rank: rank::CPU,
        sentence,
        confidence: Confidence::High,
        threshold: "",
        evidence: vec![("samples", samples), ("all_samples", all), ("function_samples", top.samples)],
    })
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
