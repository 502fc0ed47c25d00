//! What the wall time of a slow call was.
//!
//! In: a row of slow calls, its parts with their stacks, lock waits. Out: the finding with the largest part,
//! its place, and the numbers it rests on; none where parts were not recorded.

use super::{Confidence, Finding, Ranked, process, telling_function, threshold};
use crate::profile::parts::{Part, PartKey};
use crate::profile::rows::LockContext;
use crate::profile::{Profile, StackId};
use crate::render::name::kernel_functions;
use crate::render::probe::lock::lock_name;
use crate::render::rows::{LockLine, SyscallLine};
use crate::render::{cause, clean, humane, locks};

/// A part from this share on is worth naming beside the largest, of 100.
const WORTH_NAMING: u128 = 10;
/// Unaccounted time up to this share is noise, of 100.
const NOISE: u128 = 2;

/// The finding about one row of slow calls.
pub fn finding(
    profile: &Profile,
    ranked: &Ranked<'_>,
    line: &SyscallLine<'_>,
    (rule, rank): (&'static str, u8),
) -> Option<Finding> {
    let (wall, parts) = (line.slow.parts.sum(), &line.slow.parts);
    let share = |part| u128::from(parts.get(part)) * 100 / u128::from(wall.max(1));
    let largest = Part::ALL.into_iter().max_by_key(|part| parts.get(*part)).filter(|_| wall > 0)?;
    let stack = heaviest_stack(profile, line, largest);
    let lock = stack.and_then(|(stack, _)| lock_of(profile, ranked, line, stack));
    let mut sentence = format!(
        "{} of the wall time of {}{} in {} (pid {}) is {}",
        humane::part(parts.get(largest), wall),
        line.name,
        threshold(profile),
        process(profile, line.pid),
        line.pid.0,
        told(profile, largest, stack.map(|(stack, _)| stack), lock)
    );
    for part in Part::ALL.into_iter().filter(|part| *part != largest) {
        let least = if part == Part::Unaccounted { NOISE } else { WORTH_NAMING };
        if share(part) >= least {
            let what = told(profile, part, None, None);
            sentence.push_str(&format!(", {} {what}", humane::part(parts.get(part), wall)));
        }
    }
    let calls = line.slow.count;
    sentence.push_str(&format!(
        ": {} call{}, {} in all, longest {}.",
        humane::count(calls),
        if calls == 1 { "" } else { "s" },
        humane::duration(line.slow.total_ns),
        humane::duration(line.slow.max_ns)
    ));
    let mut evidence = vec![
        ("calls", calls),
        ("total_ns", line.slow.total_ns),
        ("off_cpu_ns", line.slow.off_cpu_ns),
        ("max_ns", line.slow.max_ns),
        ("slow_ns", profile.header.slow_ns),
        ("wall_ns", wall),
        ("part_ns", parts.get(largest)),
        ("part_stack_ns", stack.map_or(0, |(_, ns)| ns)),
        ("unaccounted_ns", parts.get(Part::Unaccounted)),
    ];
    if let Some(lock) = lock {
        evidence.extend([("lock_waits", lock.wait.count()), ("lock_p99_ns", lock.wait.percentile_ns(990))]);
    }
    let confidence = if share(Part::Unaccounted) > NOISE { Confidence::Low } else { Confidence::High };
    Some(Finding { rule, rank, sentence, confidence, threshold: "calls ≥ slow_ns", evidence })
}

/// The stack with most of a part, and its time, ns.
fn heaviest_stack(profile: &Profile, line: &SyscallLine<'_>, part: Part) -> Option<(StackId, u64)> {
    let key = |kernel| PartKey { pid: line.pid, nr: line.nr, part, kernel };
    let rows = profile.syscall.parts.range(key(StackId(0))..=key(StackId(u64::MAX)));
    let stacks = rows.filter(|(key, _)| key.kernel != StackId::NONE);
    stacks.max_by_key(|(_, row)| row.ns).map(|(key, row)| (key.kernel, row.ns))
}

/// The waits for the lock that was wanted with this stack.
fn lock_of<'r>(
    profile: &Profile,
    ranked: &'r Ranked<'_>,
    line: &SyscallLine<'_>,
    stack: StackId,
) -> Option<&'r LockLine> {
    let mut keys = profile.lock.rows.keys();
    let key =
        keys.find(|key| key.kernel == stack && key.pid == line.pid && key.context == LockContext::Task)?;
    let name = lock_name(profile, key);
    ranked.locks.iter().find(|lock| (lock.pid, lock.kind) == (key.pid, key.kind) && lock.name == name)
}

/// A part in words, with its place.
fn told(profile: &Profile, part: Part, stack: Option<StackId>, lock: Option<&LockLine>) -> String {
    let place = stack.and_then(|stack| telling_function(profile, stack));
    let place = place.map_or_else(String::new, |function| format!(" in {}", clean::name(function)));
    let cause = || {
        let functions = kernel_functions(&profile.stacks, stack.unwrap_or(StackId::NONE)).map(locks::base);
        cause::of(functions).map_or_else(String::new, |cause| format!(" ({cause})"))
    };
    match part {
        Part::OnCpu => format!("running in the kernel{place}"),
        Part::Spin => format!("spinning on {}", of_lock(lock)),
        Part::Irq => "under interrupts and softirqs".to_owned(),
        Part::LockSleep => format!("asleep on {}", of_lock(lock)),
        Part::Sleep => format!("asleep{place}{}", cause()),
        Part::Woken => "waiting for a CPU after its wakeup".to_owned(),
        Part::Preempted => "preempted, waiting for a CPU".to_owned(),
        Part::Throttled => "throttled by its cgroup's CPU quota".to_owned(),
        Part::Interrupted => "between the restarts of interrupted calls".to_owned(),
        Part::Unaccounted => "unaccounted (events were missed, see the losses)".to_owned(),
    }
}

/// `file_lock below alloc_fd (spin, 1,204 waits, p99 3.10 ms)`.
fn of_lock(lock: Option<&LockLine>) -> String {
    let Some(lock) = lock else { return "a kernel lock".to_owned() };
    let caller = match &*lock.name.caller {
        "" => String::new(),
        caller => format!(" below {}", clean::name(caller)),
    };
    format!(
        "{}{caller} ({}, {} waits, p99 {})",
        clean::name(&lock.name.lock),
        lock.kind.name(),
        humane::count(lock.wait.count()),
        humane::duration(lock.wait.percentile_ns(990))
    )
}
