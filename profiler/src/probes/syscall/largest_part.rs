//! What made up the wall time of slow calls.
//!
//! In: slow calls of one program, their parts with their stacks, lock waits. Out: the finding with the largest part,
//! with its place if stacks show enough of its time, and its numbers. Nothing if parts were not recorded.

use std::collections::BTreeMap;

use super::callers::{Calls, before, callers, slow_sum};
use super::lines::threshold;
use crate::probes::lock::lines::LockLine;
use crate::probes::lock::picture::lock_name;
use crate::profile::parts::{Part, PartKey};
use crate::profile::rows::LockContext;
use crate::profile::{Pid, Profile, StackId};
use crate::render::name::kernel_functions;
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, rank};
use crate::render::telling::telling_function;
use crate::render::{cause, clean, humane, locks, sampled, syscalls};

/// A part from this share on is worth naming beside the largest, of 100.
const WORTH_NAMING: u128 = 10;
/// Unaccounted time up to this share is noise, of 100.
const NOISE: u128 = 2;

/// The finding about slow calls of one program.
pub fn finding(profile: &Profile, ranked: &Ranked<'_>, group: &Calls<'_, '_>) -> Option<Finding> {
    let (slow, first) = (slow_sum(group), group.first());
    let (wall, parts) = (slow.parts.sum(), &slow.parts);
    let share = |part| u128::from(parts.get(part)) * 100 / u128::from(wall.max(1));
    let largest = Part::ALL.into_iter().max_by_key(|part| parts.get(*part)).filter(|_| wall > 0)?;
    let place = place(profile, group, largest);
    let lock = place.as_ref().and_then(|place| lock_of(profile, ranked, place));
    let mut sentence = format!(
        "{} of the wall time of {}{} in {} is {}",
        humane::part(parts.get(largest), wall),
        first.name,
        threshold(profile),
        callers(profile, group),
        told(profile, largest, place.as_ref(), lock)
    );
    for part in Part::ALL.into_iter().filter(|part| *part != largest) {
        let least = if part == Part::Unaccounted { NOISE } else { WORTH_NAMING };
        if share(part) >= least {
            let what = told(profile, part, None, None);
            sentence.push_str(&format!(", {} {what}", humane::part(parts.get(part), wall)));
        }
    }
    sentence.push_str(&format!(
        ": {}, {} in all, longest {}{}.",
        humane::plural(slow.count, "call"),
        syscalls::time(first.nr, slow.total_ns),
        syscalls::time(first.nr, slow.max_ns),
        before(profile, group)
    ));
    let mut evidence = vec![
        ("calls", slow.count),
        ("total_ns", slow.total_ns),
        ("off_cpu_ns", slow.off_cpu_ns),
        ("max_ns", slow.max_ns),
        ("slow_ns", profile.header.slow_ns),
        ("wall_ns", wall),
        ("part_ns", parts.get(largest)),
        ("part_stack_ns", place.as_ref().map_or(0, |place| place.ns)),
        ("part_stack_calls", place.as_ref().map_or(0, |place| place.calls)),
        ("part_calls", place.as_ref().map_or(0, |place| place.all_calls)),
        ("unaccounted_ns", parts.get(Part::Unaccounted)),
    ];
    if let Some(lock) = lock {
        evidence.extend([("lock_waits", lock.wait.count()), ("lock_p99_ns", lock.wait.percentile_ns(990))]);
    }
    let confidence = if share(Part::Unaccounted) > NOISE { Confidence::Low } else { Confidence::High };
    let (rule, rank, threshold) = ("slow_call", rank::SLOW, "calls ≥ slow_ns");
    Some(Finding { rule, rank, sentence, confidence, cost_ns: None, threshold, evidence })
}

/// The function that a part shows most of its time.
struct Place<'p> {
    function: &'p str,
    /// Its part of the part's time, and of all calls that have the part.
    ns: u64,
    all_ns: u64,
    calls: u64,
    all_calls: u64,
    /// Its heaviest stack, and whose.
    heaviest: (Pid, StackId),
}

/// Where most of a part's time was, if its stacks show so much of it that a sentence may say so.
fn place<'p>(profile: &'p Profile, group: &Calls<'_, '_>, part: Part) -> Option<Place<'p>> {
    // Time, calls, time of the heaviest stack, and that one.
    type Sums = (u64, u64, u64, (Pid, StackId));
    let mut functions: BTreeMap<&str, Sums> = BTreeMap::new();
    let (mut all_ns, mut all_calls) = (0u64, 0u64);
    for line in group.lines() {
        let key = |kernel| PartKey { pid: line.pid, nr: line.nr, part, kernel };
        for (key, row) in profile.syscall.parts.range(key(StackId(0))..=key(StackId(u64::MAX))) {
            (all_ns, all_calls) = (all_ns.saturating_add(row.ns), all_calls.saturating_add(row.calls));
            let Some(function) = telling_function(profile, key.kernel) else { continue };
            let (ns, calls, most, heaviest) = functions.entry(function).or_default();
            (*ns, *calls) = (ns.saturating_add(row.ns), calls.saturating_add(row.calls));
            if row.ns >= *most {
                (*most, *heaviest) = (row.ns, (key.pid, key.kernel));
            }
        }
    }
    let (function, (ns, calls, _, heaviest)) = functions.into_iter().max_by_key(|(_, (ns, ..))| *ns)?;
    let place = Place { function, ns, all_ns, calls, all_calls, heaviest };
    place.is_told(part).then_some(place)
}

impl Place<'_> {
    /// A wait's stack was taken in the call, what ran was only sampled. Either must show more than half.
    fn is_told(&self, part: Part) -> bool {
        let sampled = matches!(part, Part::OnCpu | Part::Irq);
        self.ns > self.all_ns / 2 && (!sampled || sampled::carries(self.calls, self.all_calls).is_some())
    }

    /// ` in f`, or `, 72 % of that in f`, or what samples say of it.
    fn text(&self, part: Part) -> String {
        let function = clean::name(self.function);
        match sampled::carries(self.calls, self.all_calls) {
            Some(interval) if part == Part::OnCpu => {
                let samples = humane::plural(self.calls, "sample");
                format!(", {} of that in {function} (by {samples})", interval.text())
            }
            _ if self.ns.saturating_mul(20) >= self.all_ns.saturating_mul(19) => format!(" in {function}"),
            _ => format!(", {} of that in {function}", humane::part(self.ns, self.all_ns)),
        }
    }
}

/// The waits for the lock that was wanted with this stack.
fn lock_of<'r>(profile: &Profile, ranked: &'r Ranked<'_>, place: &Place<'_>) -> Option<&'r LockLine> {
    let (pid, kernel) = place.heaviest;
    let mut keys = profile.lock.rows.keys();
    let key = keys.find(|key| key.kernel == kernel && key.pid == pid && key.context == LockContext::Task)?;
    let name = lock_name(profile, key);
    ranked.locks.iter().find(|lock| (lock.pid, lock.kind) == (key.pid, key.kind) && lock.name == name)
}

/// A part in words, with its place.
fn told(profile: &Profile, part: Part, place: Option<&Place<'_>>, lock: Option<&LockLine>) -> String {
    let cause = || {
        let stack = place.map_or(StackId::NONE, |place| place.heaviest.1);
        let functions = kernel_functions(&profile.stacks, stack).map(locks::base);
        cause::of(functions).map_or_else(String::new, |cause| format!(" ({cause})"))
    };
    let place = place.map_or_else(String::new, |place| place.text(part));
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
