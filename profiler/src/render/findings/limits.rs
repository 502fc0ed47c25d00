//! Limits of the target's own cgroup that it ran into.
//!
//! In: counters at the start and at the end, ranked waits. Out: findings about its CPU quota and its memory limit, each
//! with what it cost the target's threads.

use crate::profile::Profile;
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, rank};
use crate::render::window::Window;
use crate::render::{clean, humane};

/// The rule about CPU quotas.
pub const THROTTLED: &str = "throttled";

/// Whether a part is so many thousandths of the whole, and anything at all.
pub fn share_at_least(part: u64, whole: u64, permille: u64) -> bool {
    part > 0 && whole > 0 && u128::from(part) * 1000 >= u128::from(whole) * u128::from(permille)
}

/// A duration in µs.
pub fn us(us: u64) -> String {
    humane::duration(us.saturating_mul(1000))
}

/// Time that threads were stopped by a CPU quota.
pub fn throttled_ns(ranked: &Ranked<'_>) -> u64 {
    ranked.queued.iter().map(|line| line.throttled.total_ns).fold(0, u64::saturating_add)
}

/// Apply: throttled in 5 % of the periods in which it ran, or for 1 % of the time: a period is
/// 100 ms as a rule, so either is a wait of tens of ms in every second or so.
pub fn throttled(window: &Window<'_>, waited_ns: u64) -> Option<Finding> {
    let of = |prefix: &str| {
        let value = |name: &str| window.of(&format!("{prefix}_{name}"));
        (value("throttled_us"), value("throttled_periods"), value("periods"))
    };
    let (own, above) = (of("cgroup"), of("cgroup_above"));
    let (whose, (stopped_us, hits, periods)) =
        if own.0 >= above.0 { ("its CPU quota", own) } else { ("the CPU quota of a cgroup above it", above) };
    if !share_at_least(hits, periods, 50) && !share_at_least(stopped_us, window.us(), 10) {
        return None;
    }
    let sentence = format!(
        "The target was stopped by {whose}{} in {} of {} periods ({}), {} in all, summed over CPUs.",
        quota(window.profile, own.0 < above.0),
        humane::count(hits),
        humane::count(periods),
        humane::part(hits, periods),
        us(stopped_us),
    );
    Some(Finding {
        rule: THROTTLED,
        rank: rank::THROTTLED,
        sentence,
        confidence: Confidence::High,
        cost_ns: Some(stopped_us.saturating_mul(1000).max(waited_ns)),
        threshold: "≥ 5 % of periods or ≥ 1 % of the time",
        evidence: window.evidence(&[
            "cgroup_throttled_us",
            "cgroup_throttled_periods",
            "cgroup_periods",
            "cgroup_above_throttled_us",
            "cgroup_above_throttled_periods",
            "cgroup_above_periods",
        ]),
    })
}

/// The quota as the kernel says it, where the capture holds it.
fn quota(profile: &Profile, above: bool) -> String {
    let cgroups = profile.header.environment.cgroups.iter().filter(|cgroup| cgroup.above == above);
    let found = cgroups
        .flat_map(|cgroup| ["cpu.max", "cpu.cfs_quota_us"].map(|file| (file, cgroup.limits.get(file))));
    let mut found = found.filter_map(|(file, value)| Some(format!(" ({file} {})", clean::line(value?, 32))));
    found.next().unwrap_or_default()
}

/// Apply: the limit was reached 10 times. Each time the thread that allocates frees memory first;
/// a page cache that lives at its limit does so without being slow, hence the pressure beside it.
pub fn memory(window: &Window<'_>, waited_ns: u64) -> Option<Finding> {
    let hits = window.of("cgroup_memory_max").saturating_add(window.of("cgroup_memory_high"));
    if hits < 10 {
        return None;
    }
    let stalled = window.delta("cgroup_pressure_memory_some_us");
    let cost_ns =
        stalled.map(|stalled| stalled.saturating_mul(1000)).max((waited_ns > 0).then_some(waited_ns));
    let felt = stalled.is_some_and(|stalled| share_at_least(stalled, window.us(), 10));
    let stalled = stalled.map_or_else(String::new, |stalled| format!(", {} stalled on it", us(stalled)));
    Some(Finding {
        rule: "memory_limit",
        rank: rank::MEMORY_LIMIT,
        sentence: format!(
            "The target reached its memory limit {} times and had to free memory each time{stalled}.",
            humane::count(hits)
        ),
        confidence: if felt { Confidence::High } else { Confidence::Medium },
        cost_ns,
        threshold: "≥ 10 times",
        evidence: window.evidence(&[
            "cgroup_memory_max",
            "cgroup_memory_high",
            "cgroup_pressure_memory_some_us",
            "cgroup_direct_reclaim_pages",
        ]),
    })
}

/// Time that threads of the target were blocked to free memory, or for being over their limit.
pub fn memory_ns(ranked: &Ranked<'_>) -> u64 {
    let calls = ranked.blocked.iter().filter(|line| line.nr.is_some()).flat_map(|line| &line.on);
    let outside = ranked.outside.iter().flat_map(|line| &line.on);
    let memory =
        calls.chain(outside).filter(|(on, _)| on.ends_with("memory reclaim") || on.ends_with("memory limit"));
    memory.map(|(_, ns)| *ns).fold(0, u64::saturating_add)
}
