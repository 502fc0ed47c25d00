//! What the kernel's counters say that is not normal.
//!
//! In: the counters at the start and at the end. Out: one finding per rule whose threshold is passed;
//! each threshold stands beside its rule, and in the finding. Shares are of the recorded time.

use super::limits::{self, share_at_least, us};
use crate::render::rule::{Confidence, Finding, Rule, rank};
use crate::render::window::Window;
use crate::render::{clean, humane};

/// All rules about counters.
pub const RULES: &[Rule] = &[
    |profile, _| killed(&Window::new(profile)),
    |profile, ranked| limits::throttled(&Window::new(profile), limits::throttled_ns(ranked)),
    |profile, ranked| limits::memory(&Window::new(profile), limits::memory_ns(ranked)),
    |profile, _| pressure(&Window::new(profile)),
    |profile, _| steal(&Window::new(profile)),
    |profile, _| reclaim(&Window::new(profile)),
    |profile, _| major_faults(&Window::new(profile)),
    |profile, _| tcp_retransmits(&Window::new(profile)),
    |profile, _| queue_drops(&Window::new(profile)),
    |profile, _| interrupts(&Window::new(profile)),
    |profile, _| context_switches(&Window::new(profile)),
];

/// Apply: at least one process was killed. There is no harmless one.
fn killed(window: &Window<'_>) -> Option<Finding> {
    let (own, all) = (window.of("cgroup_memory_oom_kill"), window.of("oom_kills"));
    let sentence = match (own, all) {
        (0, 0) => return None,
        (0, all) => format!("Out of memory: {} on this machine.", killed_processes(all)),
        (own, _) => format!("At its memory limit: {} of the target.", killed_processes(own)),
    };
    Some(Finding {
        rule: "oom_kill",
        rank: rank::KILLED,
        sentence,
        confidence: Confidence::High,
        cost_ns: None,
        threshold: "≥ 1 process",
        evidence: window.evidence(&["cgroup_memory_oom_kill", "oom_kills"]),
    })
}

fn killed_processes(number: u64) -> String {
    format!("the kernel killed {} process{}", humane::count(number), if number == 1 { "" } else { "es" })
}

/// A resource, its counters (the target's, the machine's), and what share of the time is too much, ‰.
type Pressure = (&'static str, [&'static str; 2], u64);

/// Apply: some task waited for a CPU in 20 % of the time, for I/O in 10 %, for memory in 2 %.
const PRESSURES: [Pressure; 3] = [
    ("memory", ["cgroup_pressure_memory_some_us", "pressure_memory_some_us"], 20),
    ("I/O", ["cgroup_pressure_io_some_us", "pressure_io_some_us"], 100),
    ("a CPU", ["cgroup_pressure_cpu_some_us", "pressure_cpu_some_us"], 200),
];

fn pressure(window: &Window<'_>) -> Option<Finding> {
    let own = PRESSURES.iter().any(|(_, [own, _], _)| window.delta(own).is_some());
    let found = PRESSURES.iter().filter_map(|(what, names, permille)| {
        let name = names[usize::from(!own)];
        let waited = window.delta(name)?;
        share_at_least(waited, window.us(), *permille).then_some((*what, name, waited, *permille))
    });
    // The one furthest over its threshold.
    let (what, name, waited, _) = found.max_by_key(|(.., waited, permille)| waited / permille)?;
    let whose = if own { "of the target" } else { "on this machine" };
    Some(Finding {
        rule: "pressure",
        rank: if own { rank::PRESSURE } else { rank::MACHINE },
        sentence: format!(
            "Pressure: some task {whose} waited for {what} in {} of the time ({}).",
            humane::part(waited, window.us()),
            us(waited)
        ),
        confidence: Confidence::Medium,
        cost_ns: None,
        threshold: "some: CPU ≥ 20 %, I/O ≥ 10 %, memory ≥ 2 % of the time",
        evidence: vec![(name, waited)],
    })
}

/// Apply: 2 % of all CPU time.
fn steal(window: &Window<'_>) -> Option<Finding> {
    let stolen = window.of("steal_ms");
    share_at_least(stolen, window.cpu_ms(), 20).then(|| Finding {
        rule: "steal",
        rank: rank::STEAL,
        sentence: format!(
            "The hypervisor took {} of this machine's CPU time ({}).",
            humane::part(stolen, window.cpu_ms()),
            us(stolen.saturating_mul(1000))
        ),
        confidence: Confidence::High,
        cost_ns: None,
        threshold: "≥ 2 % of the CPUs' time",
        evidence: window.evidence(&["steal_ms"]),
    })
}

/// Apply: one allocation a second, and five in all, had to free memory itself.
fn reclaim(window: &Window<'_>) -> Option<Finding> {
    let stalls = window.of("allocation_stalls");
    (stalls >= 5 && window.per_second(stalls) >= 1.0).then(|| Finding {
        rule: "direct_reclaim",
        rank: rank::MACHINE,
        sentence: format!(
            "Memory is short on this machine: {} allocations had to free it first (direct reclaim), {} pages; \
             {} pages swapped in.",
            humane::count(stalls),
            humane::count(window.of("direct_reclaim_pages")),
            humane::count(window.of("swap_ins")),
        ),
        confidence: Confidence::Medium,
        cost_ns: None,
        threshold: "≥ 1 a second",
        evidence: window.evidence(&["allocation_stalls", "direct_reclaim_pages", "swap_ins", "compaction_stalls"]),
    })
}

/// Apply: ten a second in the target, a hundred a second on the machine; each waits for a disk.
fn major_faults(window: &Window<'_>) -> Option<Finding> {
    let (name, whose, least, rank) = [
        ("cgroup_major_faults", "of the target", 10.0, rank::FAULTS),
        ("process_major_faults", "of the target's process", 10.0, rank::FAULTS),
        ("major_faults", "on this machine", 100.0, rank::MACHINE),
    ]
    .into_iter()
    .find(|(name, _, least, _)| {
        window.delta(name).is_some_and(|faults| faults >= 10 && window.per_second(faults) >= *least)
    })?;
    let faults = window.of(name);
    Some(Finding {
        rule: "major_faults",
        rank,
        sentence: format!(
            "{} major faults {whose} ({} a second): threads waited for pages to be read from disk.",
            humane::count(faults),
            humane::count(window.per_second(faults).round() as u64)
        ),
        confidence: Confidence::Medium,
        cost_ns: None,
        threshold: if least < 100.0 { "≥ 10 a second" } else { "≥ 100 a second" },
        evidence: window.evidence(&["cgroup_major_faults", "process_major_faults", "major_faults"]),
    })
}

fn network(window: &Window<'_>) -> String {
    match window.profile.header.environment.network_of.as_str() {
        "" | "this process" => String::new(),
        whose => format!(" in the network of {}", clean::line(whose, 24)),
    }
}

/// Apply: 1 % of the segments sent, and ten of them.
fn tcp_retransmits(window: &Window<'_>) -> Option<Finding> {
    let (again, sent) = (window.of("tcp_retransmits"), window.of("tcp_segments_out"));
    (again >= 10 && share_at_least(again, sent.max(again), 10)).then(|| Finding {
        rule: "tcp_retransmits",
        rank: rank::NETWORK,
        sentence: format!(
            "TCP{}: {} of {} segments were sent again ({}), {} after a timeout.",
            network(window),
            humane::count(again),
            humane::count(sent.max(again)),
            humane::part(again, sent.max(again)),
            humane::count(window.of("tcp_timeouts")),
        ),
        confidence: Confidence::Medium,
        cost_ns: None,
        threshold: "≥ 1 % of segments sent and ≥ 10",
        evidence: window.evidence(&["tcp_retransmits", "tcp_segments_out", "tcp_timeouts"]),
    })
}

/// Queues that were full: counter, and what was dropped.
const QUEUES: [(&str, &str); 8] = [
    ("tcp_listen_drops", "connections at a full accept queue"),
    ("tcp_request_queue_drops", "connection requests"),
    ("tcp_backlog_drops", "TCP segments at a full backlog"),
    ("tcp_receive_queue_drops", "TCP segments at a full receive queue"),
    ("tcp_aborts_on_memory", "TCP connections when memory was short"),
    ("udp_receive_buffer_errors", "UDP packets at a full receive buffer"),
    ("udp_send_buffer_errors", "UDP packets at a full send buffer"),
    ("softnet_drops", "packets at a full CPU backlog"),
];

/// Apply: a queue was full once. The peer of each drop waits for its timeout.
fn queue_drops(window: &Window<'_>) -> Option<Finding> {
    let full = || QUEUES.iter().filter(|(name, _)| window.of(name) > 0);
    full().next()?;
    let drops: Vec<String> =
        full().map(|(name, what)| format!("{} {what}", humane::count(window.of(name)))).collect();
    Some(Finding {
        rule: "queue_drops",
        rank: rank::NETWORK,
        sentence: format!("Dropped{}: {}.", network(window), drops.join(", ")),
        confidence: Confidence::Medium,
        cost_ns: None,
        threshold: "≥ 1",
        evidence: full().map(|(name, _)| (*name, window.of(name))).collect(),
    })
}

/// Apply: 15 % of all CPU time in interrupts.
fn interrupts(window: &Window<'_>) -> Option<Finding> {
    let taken = window.of("softirq_ms").saturating_add(window.of("hardirq_ms"));
    share_at_least(taken, window.cpu_ms(), 150).then(|| Finding {
        rule: "interrupts",
        rank: rank::MACHINE,
        sentence: format!(
            "Interrupts took {} of the CPU time ({}), {} softirqs.",
            humane::part(taken, window.cpu_ms()),
            us(taken.saturating_mul(1000)),
            humane::count(window.of("softirqs")),
        ),
        confidence: Confidence::Medium,
        cost_ns: None,
        threshold: "≥ 15 % of the CPUs' time",
        evidence: window.evidence(&["softirq_ms", "hardirq_ms", "softirqs", "softirqs_net_rx"]),
    })
}

/// Apply: 50,000 a second on each CPU: at 1 to 2 µs each a tenth of the machine.
fn context_switches(window: &Window<'_>) -> Option<Finding> {
    let switches = window.of("context_switches");
    let cpus = f64::from(window.profile.header.environment.cpus_online.max(1));
    (window.per_second(switches) >= 50_000.0 * cpus).then(|| Finding {
        rule: "context_switches",
        rank: rank::LEAST,
        sentence: format!(
            "{} context switches a second on this machine.",
            humane::count(window.per_second(switches).round() as u64)
        ),
        confidence: Confidence::Low,
        cost_ns: None,
        threshold: "≥ 50,000 a second and CPU",
        evidence: window.evidence(&["context_switches"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::render::fold::Folder;
    use crate::render::ranked::Ranked;

    /// What is found after ten seconds on two CPUs in which the counters went this far.
    fn found(deltas: &[(&str, u64)]) -> Vec<Finding> {
        let mut profile = Profile { duration_ns: 10_000_000_000, ..Profile::default() };
        let environment = &mut profile.header.environment;
        environment.cpus_online = 2;
        for (name, delta) in deltas {
            environment.at_start.insert((*name).to_owned(), 7);
            environment.at_end.insert((*name).to_owned(), 7 + delta);
        }
        let ranked = Ranked::new(&profile, &mut Folder::new(&profile));
        RULES.iter().filter_map(|rule| rule(&profile, &ranked)).collect()
    }

    #[test]
    fn each_rule_fires_at_its_threshold_and_not_below() {
        for (rule, at, below) in [
            ("oom_kill", &[("oom_kills", 1)][..], &[("oom_kills", 0)][..]),
            (
                "throttled",
                &[("cgroup_periods", 100), ("cgroup_throttled_periods", 5), ("cgroup_throttled_us", 9)],
                &[("cgroup_periods", 100), ("cgroup_throttled_periods", 4), ("cgroup_throttled_us", 99_999)],
            ),
            (
                "throttled",
                &[("cgroup_above_throttled_us", 100_000)],
                &[("cgroup_above_throttled_us", 99_999)],
            ),
            ("memory_limit", &[("cgroup_memory_max", 10)], &[("cgroup_memory_max", 9)]),
            ("pressure", &[("pressure_io_some_us", 1_000_000)], &[("pressure_io_some_us", 999_999)]),
            ("pressure", &[("pressure_memory_some_us", 200_000)], &[("pressure_memory_some_us", 199_999)]),
            ("steal", &[("steal_ms", 400)], &[("steal_ms", 399)]),
            ("direct_reclaim", &[("allocation_stalls", 10)], &[("allocation_stalls", 9)]),
            ("major_faults", &[("cgroup_major_faults", 100)], &[("cgroup_major_faults", 99)]),
            ("major_faults", &[("major_faults", 1_000)], &[("major_faults", 999)]),
            (
                "tcp_retransmits",
                &[("tcp_retransmits", 10), ("tcp_segments_out", 1_000)],
                &[("tcp_retransmits", 10), ("tcp_segments_out", 1_001)],
            ),
            ("queue_drops", &[("tcp_listen_drops", 1)], &[("tcp_listen_drops", 0)]),
            ("interrupts", &[("softirq_ms", 3_000)], &[("softirq_ms", 2_999)]),
            ("context_switches", &[("context_switches", 1_000_000)], &[("context_switches", 999_999)]),
        ] {
            let at = found(at);
            assert_eq!(at.iter().map(|finding| finding.rule).collect::<Vec<_>>(), [rule]);
            assert!(at[0].evidence.iter().any(|(_, value)| *value > 0), "no rule without its number: {at:?}");
            assert!(found(below).is_empty(), "{rule}: {:?}", found(below));
        }
    }

    #[test]
    fn the_targets_pressure_hides_the_machines() {
        let quiet = [("cgroup_pressure_io_some_us", 3), ("pressure_io_some_us", 9_000_000)];
        assert!(found(&quiet).is_empty());
    }

    #[test]
    fn absurd_counters_do_not_overflow_and_reset_ones_are_silent() {
        let names =
            ["steal_ms", "cgroup_throttled_us", "cgroup_memory_max", "softirq_ms", "context_switches"];
        let all: Vec<_> = names.iter().map(|name| (*name, u64::MAX - 7)).collect();
        assert_eq!(found(&all).len(), names.len());
        let mut profile = Profile::default();
        profile.header.environment.at_start.insert("oom_kills".into(), 9);
        profile.header.environment.at_end.insert("oom_kills".into(), 2);
        assert_eq!(Window::new(&profile).delta("oom_kills"), None);
    }
}
