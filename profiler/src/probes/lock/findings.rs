//! Waits for kernel locks, told in sentences.
//!
//! In: ranked lock waits. Out: a finding about the worst lock, and one about waits inside other tracers.

use super::holders;
use super::lines::LockLine;
use super::tracing::Tracing;
use crate::profile::Profile;
use crate::profile::rows::LockContext;
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, Rule, rank};
use crate::render::who::process;
use crate::render::{clean, humane};

/// All rules about locks.
pub const RULES: &[Rule] = &[lock_waits, tracing];

/// Less than a thousandth of the time is next to nothing.
fn lock_waits(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let worst = ranked.locks.first()?;
    let all: u64 = ranked.locks.iter().map(|line| line.wait.total_ns).fold(0, u64::saturating_add);
    let waits: u64 = ranked.locks.iter().map(|line| line.wait.count()).fold(0, u64::saturating_add);
    let little = all < profile.duration_ns / 1000;
    let sentence = if little {
        let all = humane::duration(all);
        format!("Kernel locks: next to nothing, {all} in {}.", humane::plural(waits, "wait"))
    } else {
        worst_lock(profile, worst, all)
    };
    Some(Finding {
        rule: "lock_waits",
        rank: if little { rank::LEAST } else { rank::LOCKS },
        sentence,
        confidence: Confidence::High,
        cost_ns: Some(all),
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
        LockContext::Task => {
            format!("{} (pid {})", process(profile, worst.pid), profile.processes.pid_text(worst.pid))
        }
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
        cost_ns: Some(found.total_ns),
        threshold: "≥ 0.1 % of the time and ≥ 1 % of lock wait",
        evidence: vec![("total_ns", found.total_ns), ("of_ns", found.of_ns)],
    })
}
