//! Waits for a CPU that are not normal.
//!
//! In: ranked waits. Out: findings about the run queue and about throttling. Shares are of the recorded time; a process
//! of many threads may pass 100 %.

use super::lines::{Queued, ran_meanwhile};
use crate::probes::waits::findings::percent_of_time;
use crate::profile::{Histogram, Profile};
use crate::render::findings::{counters, limits};
use crate::render::group::{self};
use crate::render::humane;
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, Rule, rank};
use crate::render::who::who;

/// All rules about waits for a CPU.
pub const RULES: &[Rule] = &[run_queue, throttled];

/// Neighbours named at most.
const NAMED: usize = 3;

/// A wait for a CPU that is long: one turn of another, as a rule.
const LONG_NS: u64 = 1_000_000;

/// Apply: 5 % of the time, and one in a hundred waits takes 1 ms.
fn run_queue(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let weight = |line: &Queued| line.ready.total_ns;
    let groups = group::whole(&ranked.queued, |line| group::key(profile, line.pid, ()), weight);
    let worst = groups.first()?;
    let mut waits = Histogram::default();
    worst.lines().iter().for_each(|line| waits.merge(&line.ready));
    let (total, p99) = (worst.weight(), waits.percentile_ns(990));
    if !percent_of_time(profile, total, 5) || p99 < LONG_NS {
        return None;
    }
    let woken = worst.lines().iter().map(|line| line.woken_ns).fold(0, u64::saturating_add);
    // Who ran is known of throttled waits, too.
    let whole = worst.lines().iter().map(|line| line.waits.total_ns).fold(0, u64::saturating_add);
    let ran = match ran_meanwhile(profile, worst.lines(), (whole, NAMED)) {
        ran if ran.is_empty() => ran,
        ran => format!("; meanwhile ran: {ran}"),
    };
    let sentence = format!(
        "{} waited {} for a CPU in {}, all threads together: {} after a wakeup, {} preempted; p99 {}, longest {}{ran}.",
        who(profile, worst, |line| (line.pid, line.ready.total_ns)),
        humane::duration(total),
        humane::duration(profile.duration_ns),
        humane::part(woken, total),
        humane::part(total.saturating_sub(woken), total),
        humane::duration(p99),
        humane::duration(waits.max_ns),
    );
    Some(Finding {
        rule: "run_queue",
        rank: rank::RUN_QUEUE,
        sentence,
        confidence: Confidence::High,
        cost_ns: Some(total),
        threshold: "≥ 5 % of the time, p99 ≥ 1 ms",
        evidence: vec![
            ("total_ns", total),
            ("woken_ns", woken),
            ("preempted_ns", total.saturating_sub(woken)),
            ("waits", waits.count()),
            ("p99_ns", p99),
            ("max_ns", waits.max_ns),
        ],
    })
}

/// Apply: 1 % of the time. Where the cgroup's counters tell of it already, this only adds who it was.
fn throttled(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let total = limits::throttled_ns(ranked);
    let weight = |line: &Queued| line.throttled.total_ns;
    let groups = group::whole(&ranked.queued, |line| group::key(profile, line.pid, ()), weight);
    let worst = groups.first()?;
    if !percent_of_time(profile, total, 1) {
        return None;
    }
    let mut waits = Histogram::default();
    worst.lines().iter().for_each(|line| waits.merge(&line.throttled));
    let told = counters::RULES.iter().filter_map(|rule| rule(profile, ranked));
    let told = told.map(|finding| finding.rule).any(|rule| rule == limits::THROTTLED);
    Some(Finding {
        rule: "throttled_waits",
        rank: if told { rank::THROTTLED_WHO } else { rank::THROTTLED },
        sentence: format!(
            "Threads without CPU quota waited {} in all, {} of it in {}: {}, longest {}.",
            humane::duration(total),
            humane::part(worst.weight(), total),
            who(profile, worst, |line| (line.pid, line.throttled.total_ns)),
            humane::plural(waits.count(), "wait"),
            humane::duration(waits.max_ns),
        ),
        confidence: Confidence::High,
        cost_ns: (!told).then_some(total),
        threshold: "≥ 1 % of the time",
        evidence: vec![
            ("total_ns", total),
            ("worst_total_ns", worst.weight()),
            ("worst_waits", waits.count()),
            ("worst_max_ns", waits.max_ns),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::waits::{WaitKey, WaitStackKey, WaitStackRow, Waker};
    use crate::profile::{Pid, StackId, Wait};
    use crate::render::fold::Folder;

    const MS: u64 = 1_000_000;

    /// What is found when in ten seconds these waits ended: (process, call, what for, ns each, how many).
    fn found(
        waits: &[(u32, Option<u32>, Wait, u64, u64)],
        wakers: &[(u32, u64, u64)],
    ) -> Vec<(&'static str, u8)> {
        let mut profile = Profile { duration_ns: 10_000 * MS, ..Profile::default() };
        for &(pid, nr, wait, ns, count) in waits {
            let row = profile.waits.rows.entry(WaitKey { pid: Pid(pid), nr, wait }).or_default();
            (0..count).for_each(|_| row.record(ns));
        }
        for &(pid, total_ns, waits) in wakers {
            let waker = Waker::Process { pid: Pid(pid), kernel: StackId::NONE, user: StackId::NONE };
            let row = WaitKey { pid: Pid(1), nr: Some(0), wait: Wait::Sleep };
            let key = WaitStackKey { row, kernel: StackId::NONE, user: StackId::NONE, waker };
            let row = WaitStackRow { waits, total_ns, max_ns: total_ns };
            profile.waits.stacks.insert(key, row);
        }
        let ranked = Ranked::new(&profile, &mut Folder::new(&profile));
        let rules = RULES.iter().chain(crate::probes::offcpu::findings::RULES);
        rules.filter_map(|rule| rule(&profile, &ranked)).map(|found| (found.rule, found.rank)).collect()
    }

    #[test]
    fn waiting_for_a_cpu_is_told_at_its_thresholds_and_not_below() {
        let queue = ("run_queue", rank::RUN_QUEUE);
        assert_eq!(found(&[(1, Some(0), Wait::Woken, 2 * MS, 250)], &[]), [queue]);
        assert_eq!(found(&[(1, Some(0), Wait::Woken, 2 * MS, 249)], &[]), []);
        assert_eq!(found(&[(1, None, Wait::Preempted, 900_000, 1_000)], &[]), [], "none is long");
        assert_eq!(found(&[(1, None, Wait::Preempted, 5 * MS, 500)], &[]), [queue]);
        // A shell loop is one program, and throttling is no queue.
        let many: Vec<_> = (1..=5).map(|pid| (pid, None, Wait::Woken, 100 * MS, 1)).collect();
        assert_eq!(found(&many, &[]), [queue]);
        assert_eq!(
            found(&[(1, None, Wait::Throttled, 50 * MS, 10)], &[]),
            [("throttled_waits", rank::THROTTLED)]
        );
        assert_eq!(found(&[(1, None, Wait::Throttled, 9 * MS, 11)], &[]), []);
    }

    #[test]
    fn stalls_outside_of_calls_are_told_at_their_threshold_and_not_below() {
        let outside = ("outside_calls", rank::OUTSIDE);
        assert_eq!(found(&[(1, None, Wait::Uninterruptible, 50 * MS, 10)], &[]), [outside]);
        assert_eq!(found(&[(1, None, Wait::Uninterruptible, 49 * MS, 10)], &[]), []);
        assert_eq!(found(&[(1, Some(0), Wait::Uninterruptible, 50 * MS, 10)], &[]), [], "in a call");
    }

    #[test]
    fn one_waker_is_told_when_it_is_another_and_ends_half() {
        let waits = [(1, Some(0), Wait::Sleep, 2_500 * MS, 1)];
        let waker = ("one_waker", rank::WAKER);
        assert_eq!(found(&waits, &[(7, 1_250 * MS, 10)]), [waker]);
        assert_eq!(found(&waits, &[(7, 1_249 * MS, 10)]), []);
        assert_eq!(found(&waits, &[(7, 2_500 * MS, 9)]), [], "a coincidence");
        assert_eq!(found(&waits, &[(1, 2_500 * MS, 10)]), [], "itself");
        let idle = [(1, Some(232), Wait::Sleep, 9_000 * MS, 1)];
        assert_eq!(found(&idle, &[]), []);
        assert_eq!(found(&[(1, Some(0), Wait::Sleep, 2_499 * MS, 1)], &[(7, 2_499 * MS, 10)]), []);
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        assert_eq!(found(&[], &[]), []);
    }
}
