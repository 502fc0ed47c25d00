//! Where the time went, in a few sentences.
//!
//! In: ranked rows, counters. Out: findings, the most telling first; the first five are told. A
//! finding comes from a rule: a function that is silent without its number. A new rule is one line
//! in [`RULES`] and, where none fits, one in [`rank`].

pub mod counters;
mod cpu;
mod parts;
mod rule;
mod security;
mod slow;
mod total;
mod waits;
mod window;

pub use cpu::{cpu_by_process, top_function};
pub use rule::{Confidence, Finding, Rule, rank};
pub use window::Window;

use super::fold::Folder;
use super::name::kernel_functions;
use super::rows::{self, CpuLine, LockLine, LsmLine, SyscallLine};
use super::syscalls::{self, CallClass};
use super::tracing::Tracing;
use super::waits::Waits;
use super::{clean, holders, humane, locks};
use crate::profile::rows::{InFlightCall, LockContext};
use crate::profile::{Histogram, Pid, Profile, StackId};

/// Functions that only say "asleep": what called them is what matters.
pub const ASLEEP: &[&str] = &[
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
    /// Functions of the security layer.
    pub lsm: Vec<LsmLine<'p>>,
    /// CPU samples.
    pub cpu: Vec<CpuLine>,
    /// Waits off the CPU.
    pub waits: Waits<'p>,
}

impl<'p> Ranked<'p> {
    /// Ranks all rows.
    pub fn new(profile: &'p Profile, folder: &mut Folder<'_>) -> Self {
        Self {
            syscalls: rows::syscalls(profile),
            locks: rows::locks(profile),
            lsm: rows::lsm(profile),
            cpu: rows::cpu(profile, folder),
            waits: Waits::new(profile),
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

/// Rules about rows; those about counters are in [`counters::RULES`], those about waits off the CPU in
/// [`waits::RULES`].
const RULES: &[Rule] = &[
    stuck,
    total::much_in_one_call,
    slowest,
    second_slowest,
    nothing_slow,
    lock_waits,
    tracing,
    security::layer,
    user_locks,
    cpu::busiest,
];

/// All findings, the most telling first.
pub fn all(profile: &Profile, ranked: &Ranked<'_>) -> Vec<Finding> {
    let rules = RULES.iter().chain(waits::RULES).chain(counters::RULES);
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
    work.first().map(|line| slow::finding(profile, ranked, line, ("slow_call", rank::SLOW)))
}

/// The second is worth a sentence only beside the first: a tenth of all.
fn second_slowest(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let work = slow_work(ranked);
    let all: u64 = work.iter().map(|line| line.slow.total_ns).fold(0, u64::saturating_add);
    let second = work.get(1).filter(|line| line.slow.total_ns.saturating_mul(10) >= all);
    second.map(|line| slow::finding(profile, ranked, line, ("slow_call_too", rank::SLOW_TOO)))
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
        humane::plural(calls.len() as u64, "call"),
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
        format!("Kernel locks: next to nothing, {all} waited in {}.", humane::plural(waits, "wait"))
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
    let held = holders::phrase(profile, (worst.pid, worst.wait.total_ns), &worst.holders);
    let held = if held.is_empty() { held } else { format!("; held by {held}") };
    format!(
        "Kernel locks: {} waited in all, {} of it by {who} for the {} [{}]{}: {}, longest {}{held}.",
        humane::duration(all),
        humane::part(worst.wait.total_ns, all),
        worst.kind.name(),
        clean::name(&worst.name.lock),
        caller(&worst.name.caller),
        humane::plural(worst.wait.count(), "wait"),
        humane::duration(worst.wait.max_ns),
    )
}

fn caller(caller: &str) -> String {
    if caller.is_empty() { String::new() } else { format!(" in {}", clean::name(caller)) }
}

/// Contention that would not be there without another tracer.
fn tracing(profile: &Profile, _: &Ranked<'_>) -> Option<Finding> {
    let found = Tracing::of(profile);
    let sentence = found.sentence(profile.duration_ns / 1000)?;
    Some(Finding {
        rule: "other_tracers",
        rank: rank::TRACING,
        sentence,
        confidence: Confidence::High,
        threshold: "≥ 0.1 % of the time and ≥ 1 % of lock wait",
        evidence: vec![("total_ns", found.total_ns), ("of_ns", found.of_ns)],
    })
}

fn user_locks(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let lines =
        || ranked.syscalls.iter().filter(|line| line.class == CallClass::UserLock && line.slow.count > 0);
    let worst = lines().max_by_key(|line| line.slow.total_ns)?;
    let calls = lines().map(|line| line.slow.count).fold(0, u64::saturating_add);
    let total = lines().map(|line| line.slow.total_ns).fold(0, u64::saturating_add);
    let sentence = format!(
        "User locks (futex): {}{}, {} in all (parked threads included), {} of it in {} (pid {}).",
        humane::plural(calls, "wait"),
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
