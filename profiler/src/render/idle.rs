//! How much `--no-idle` leaves out: every output says so.
//!
//! In: ranked rows of calls and waits. Out: one sentence; nothing when nothing is idle.

use super::humane;
use super::syscalls::CallClass;
use crate::probes::offcpu::lines::blocked;
use crate::probes::syscall::lines::syscalls;
use crate::probes::waits::class::Classes;
use crate::probes::waits::stacks::Places;
use crate::profile::Profile;

/// Idle calls and waits, how many and how long.
pub fn sentence(profile: &Profile) -> Option<String> {
    let waits = blocked(profile, &mut Classes::new(profile), &mut Places::new(profile));
    let calls = syscalls(profile, &waits);
    let calls = calls.iter().filter(|line| line.class == CallClass::Idle);
    let calls = calls.map(|line| (line.row.latency.count(), line.row.latency.total_ns));
    let waits = waits.iter().filter(|line| line.class == CallClass::Idle);
    let waits = waits.map(|line| (line.count, line.total_ns));
    let parts = [told(calls, "idle call"), told(waits, "idle wait")];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{} (--no-idle)", parts.join("; ")))
}

fn told(lines: impl Iterator<Item = (u64, u64)>, noun: &str) -> Option<String> {
    let sum =
        |(count, ns): (u64, u64), line: (u64, u64)| (count.saturating_add(line.0), ns.saturating_add(line.1));
    let (count, ns) = lines.fold((0, 0), sum);
    (count > 0).then(|| format!("{}, {}", humane::plural(count, noun), humane::duration(ns)))
}
