//! Waits off the CPU that are not normal.
//!
//! In: ranked waits. Out: findings about waiting for a CPU, throttling, stalls outside of calls, and one process
//! that ends most of another's waits. Shares are of the recorded time; a process of many threads may pass 100 %.

use super::rule::{Confidence, Finding, Rule, rank};
use super::{Ranked, counters, humane, process};
use crate::profile::{Histogram, Pid, Profile, Wait};
use crate::render::group::{self, Group};
use crate::render::syscalls::{self, CallClass};
use crate::render::waits::table::ran_meanwhile;
use crate::render::waits::{Blocked, Ender, Queued, SHORT, heaviest};
use crate::render::{clean, probe};

/// All rules about waits.
pub const RULES: &[Rule] = &[run_queue, throttled, outside_calls, one_waker];

/// From this share of the time on, of 100, a finding comes before slow calls.
const MUCH: u64 = 25;
/// Neighbours and places named at most.
const NAMED: usize = 3;
/// A wait for a CPU that is long: one turn of another, as a rule.
const LONG_NS: u64 = 1_000_000;

fn percent_of_time(profile: &Profile, ns: u64, percent: u64) -> bool {
    ns > 0 && u128::from(ns) * 100 >= u128::from(profile.duration_ns.max(1)) * u128::from(percent)
}

fn by_weight(profile: &Profile, ns: u64, (much, else_): (u8, u8)) -> u8 {
    if percent_of_time(profile, ns, MUCH) { much } else { else_ }
}

/// `(pid 812)`, or how many they are.
fn who<L>(profile: &Profile, group: &Group<'_, L>, pid: impl Fn(&L) -> Pid) -> String {
    let first = pid(group.first());
    match group.lines().len() {
        1 => format!("{} (pid {})", process(profile, first), first.0),
        many => format!("{} ({} processes)", process(profile, first), humane::count(many as u64)),
    }
}

/// Apply: 5 % of the time, and one in a hundred waits takes 1 ms.
fn run_queue(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let weight = |line: &Queued| line.ready.total_ns;
    let groups = group::groups(&ranked.waits.queued, |line| group::key(profile, line.pid, ()), weight);
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
        who(profile, worst, |line| line.pid),
        humane::duration(total),
        humane::duration(profile.duration_ns),
        humane::part(woken, total),
        humane::part(total.saturating_sub(woken), total),
        humane::duration(p99),
        humane::duration(waits.max_ns),
    );
    Some(Finding {
        rule: "run_queue",
        rank: by_weight(profile, total, (rank::RUN_QUEUE_MUCH, rank::RUN_QUEUE)),
        sentence,
        confidence: Confidence::High,
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
    let total = ranked.waits.queued.iter().map(|line| line.throttled.total_ns).fold(0, u64::saturating_add);
    let worst = ranked.waits.queued.iter().max_by_key(|line| line.throttled.total_ns)?;
    if !percent_of_time(profile, total, 1) {
        return None;
    }
    let told = counters::RULES.iter().filter_map(|rule| rule(profile, ranked));
    let told = told.map(|finding| finding.rule).any(|rule| rule == counters::THROTTLED);
    Some(Finding {
        rule: "throttled_waits",
        rank: if told { rank::THROTTLED_WHO } else { rank::THROTTLED },
        sentence: format!(
            "Out of CPU quota, threads waited {} in all, {} of it in {} (pid {}): {}, longest {}.",
            humane::duration(total),
            humane::part(worst.throttled.total_ns, total),
            process(profile, worst.pid),
            worst.pid.0,
            humane::plural(worst.throttled.count(), "wait"),
            humane::duration(worst.throttled.max_ns),
        ),
        confidence: Confidence::High,
        threshold: "≥ 1 % of the time",
        evidence: vec![
            ("total_ns", total),
            ("worst_total_ns", worst.throttled.total_ns),
            ("worst_waits", worst.throttled.count()),
            ("worst_max_ns", worst.throttled.max_ns),
        ],
    })
}

/// Apply: 5 % of the time blocked outside of calls by one process.
fn outside_calls(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let worst = ranked.waits.outside.iter().max_by_key(|line| line.blocked_ns())?;
    let blocked = worst.blocked_ns();
    if !percent_of_time(profile, blocked, 5) {
        return None;
    }
    let on = heaviest(
        worst.on.iter().map(|(on, ns)| (*on, *ns)).filter(|(on, _)| *on != SHORT),
        (blocked, NAMED),
        |on| clean::name(on).into_owned(),
    );
    let on = if on.is_empty() { on } else { format!(": {on}") };
    let stopped = worst.get(Wait::Stopped);
    Some(Finding {
        rule: "outside_calls",
        rank: by_weight(profile, blocked, (rank::OUTSIDE_MUCH, rank::OUTSIDE)),
        sentence: format!(
            "{} (pid {}) was blocked outside of system calls for {} in {}, all threads together{on}.",
            process(profile, worst.pid),
            worst.pid.0,
            humane::duration(blocked),
            humane::duration(profile.duration_ns),
        ),
        confidence: Confidence::High,
        threshold: "≥ 5 % of the time",
        evidence: vec![
            ("blocked_ns", blocked),
            ("stopped_ns", stopped),
            ("stalls", worst.stalls.count()),
            ("max_ns", worst.stalls.max_ns),
        ],
    })
}

/// Apply: one call of one process is blocked for 25 % of the time, and one other process ends half of that, in ten
/// long waits or more: one alone is a coincidence.
fn one_waker(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let work = ranked.waits.blocked.iter().filter(|line| line.class == CallClass::Work);
    let (line, waker, ns) = work
        .filter(|line| percent_of_time(profile, line.waits.total_ns, 25))
        .find_map(|line| other_half(line).map(|(waker, ns)| (line, waker, ns)))
        .filter(|(line, waker, _)| waits_ended(profile, line, *waker) >= 10)?;
    Some(Finding {
        rule: "one_waker",
        rank: rank::WAKER,
        sentence: format!(
            "{} of the {} that {} (pid {}) was blocked in {} ended when {} (pid {}) woke it.",
            humane::part(ns, line.waits.total_ns),
            humane::duration(line.waits.total_ns),
            process(profile, line.pid),
            line.pid.0,
            line.nr.map_or(probe::offcpu::NO_CALL.into(), syscalls::name),
            process(profile, waker),
            waker.0,
        ),
        // Who wakes may itself have waited for another.
        confidence: Confidence::Medium,
        threshold: "blocked ≥ 25 % of the time, half of it ended by one other process, ≥ 10 waits",
        evidence: vec![
            ("blocked_ns", line.waits.total_ns),
            ("ended_ns", ns),
            ("waker_pid", u64::from(waker.0)),
        ],
    })
}

/// The other process that ended half of a line's time.
fn other_half(line: &Blocked<'_>) -> Option<(Pid, u64)> {
    line.enders.iter().find_map(|(ender, ns)| match ender {
        Ender::Process(pid) if *pid != line.pid && *ns >= line.waits.total_ns.div_ceil(2) => {
            Some((*pid, *ns))
        }
        Ender::Process(_) | Ender::Interrupt | Ender::Unseen => None,
    })
}

/// Long waits of a line that one process ended.
fn waits_ended(profile: &Profile, line: &Blocked<'_>, waker: Pid) -> u64 {
    let stacks = profile.waits.stacks.iter();
    let stacks = stacks.filter(|(key, _)| (key.row.pid, key.row.nr) == (line.pid, line.nr));
    let ended = stacks.filter(|(key, _)| Ender::of(profile, key.waker) == Ender::Process(waker));
    ended.map(|(_, row)| row.waits).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::StackId;
    use crate::profile::waits::{WaitKey, WaitStackKey, WaitStackRow, Waker};
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
        RULES
            .iter()
            .filter_map(|rule| rule(&profile, &ranked))
            .map(|found| (found.rule, found.rank))
            .collect()
    }

    #[test]
    fn waiting_for_a_cpu_is_told_at_its_thresholds_and_not_below() {
        let queue = ("run_queue", rank::RUN_QUEUE);
        assert_eq!(found(&[(1, Some(0), Wait::Woken, 2 * MS, 250)], &[]), [queue]);
        assert_eq!(found(&[(1, Some(0), Wait::Woken, 2 * MS, 249)], &[]), []);
        assert_eq!(found(&[(1, None, Wait::Preempted, 900_000, 1_000)], &[]), [], "none is long");
        let much = ("run_queue", rank::RUN_QUEUE_MUCH);
        assert_eq!(found(&[(1, None, Wait::Preempted, 5 * MS, 500)], &[]), [much]);
        // A shell loop is one program, and throttling is no queue.
        let many: Vec<_> = (1..=20).map(|pid| (pid, None, Wait::Woken, 25 * MS, 1)).collect();
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
