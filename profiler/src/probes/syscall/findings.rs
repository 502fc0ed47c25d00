//! System calls that say where the time went.
//!
//! In: ranked calls. Out: findings about hangs, slow calls, user locks, or that nothing was slow.

use super::in_flight::{self, Waiting};
use super::lines::{SyscallLine, threshold};
use super::{calls, subject, user_locks};
use crate::profile::{Histogram, Profile};
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, Rule, rank};
use crate::render::syscalls::{self, CallClass};
use crate::render::telling::telling_function;
use crate::render::who::process;
use crate::render::{clean, humane};

/// All rules about system calls.
pub const RULES: &[Rule] =
    &[stuck, calls::dearest_call, calls::second_dearest, nothing_slow, user_locks::waits];

/// Slow calls at work, longest total first.
fn slow_work<'r, 'p>(ranked: &'r Ranked<'p>) -> Vec<&'r SyscallLine<'p>> {
    let mut work: Vec<_> =
        ranked.syscalls.iter().filter(|line| line.class == CallClass::Work && line.slow.count > 0).collect();
    work.sort_by_key(|line| std::cmp::Reverse(line.slow.total_ns));
    work
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
        cost_ns: None,
        threshold: "no call ≥ slow_ns",
        evidence: vec![
            ("calls", all.count()),
            ("p999_ns", all.percentile_ns(999)),
            ("max_ns", all.max_ns),
            ("slow_ns", profile.header.slow_ns),
        ],
    })
}

/// Groups of calls in flight at work that are not shorter than the threshold, the most telling first.
fn stuck_groups(profile: &Profile) -> Vec<Waiting<'_>> {
    let slow = profile.header.slow_ns;
    let mut groups = in_flight::groups(profile);
    groups.retain_mut(|group| {
        group.calls.retain(|call| call.age_ns >= slow);
        group.class == CallClass::Work && !group.calls.is_empty()
    });
    groups
}

/// A hang tells more than any slow call; a call that happened to be under way does not.
fn stuck(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let groups = stuck_groups(profile);
    let Some(worst) = groups.first() else { return waiting_for_input(profile, ranked) };
    let (calls, oldest) = (groups.iter().map(|group| group.calls.len()).sum::<usize>(), worst.first());
    let all = groups.iter().flat_map(|group| &group.calls);
    let cost_ns = all.map(|call| call.age_ns.min(profile.duration_ns)).fold(0, u64::saturating_add);
    let most = if groups.len() > 1 && worst.calls.len() > 1 {
        format!("{} of them ", humane::count(worst.calls.len() as u64))
    } else {
        String::new()
    };
    let sentence = format!(
        "{} had not returned at the end, {most}{}the oldest after {}.",
        humane::plural(calls as u64, "call"),
        if worst.is_held() { "uninterruptible, " } else { "" },
        where_it_waits(profile, worst),
    );
    Some(Finding {
        rule: "in_flight",
        rank: if oldest.age_ns >= in_flight::HANG_NS { rank::HANG } else { rank::UNDER_WAY },
        sentence,
        confidence: Confidence::High,
        cost_ns: Some(cost_ns),
        threshold: "age ≥ slow_ns, first when ≥ 1 s",
        evidence: vec![
            ("calls", calls as u64),
            ("calls_in_one_place", worst.calls.len() as u64),
            ("age_ns", oldest.age_ns),
        ],
    })
}

/// A target that only waited for input. It is idle as far as is known, so this is said only if the target had
/// no other work.
fn waiting_for_input(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    if ranked.syscalls.iter().any(|line| line.class == CallClass::Work) {
        return None;
    }
    let slow = profile.header.slow_ns;
    let groups = in_flight::groups(profile);
    let named_work = |group: &&Waiting<'_>| syscalls::class(group.first().nr) == CallClass::Work;
    let worst = groups.iter().find(|group| named_work(group) && group.first().age_ns >= slow)?;
    let sentence = format!(
        "Nothing else was at work than {} that waited for input all the time, idle or for one that hangs, the oldest after {}.",
        humane::plural(worst.calls.len() as u64, "call"),
        where_it_waits(profile, worst),
    );
    Some(Finding {
        rule: "waiting_for_input",
        rank: rank::LEAST,
        sentence,
        confidence: Confidence::Low,
        cost_ns: None,
        threshold: "in one receiving call all the time, no other call at work",
        evidence: vec![("calls", worst.calls.len() as u64), ("age_ns", worst.first().age_ns)],
    })
}

/// `≥ 35.0 s: read in web/api (pid 812, tid 815), in anon_pipe_read`.
fn where_it_waits(profile: &Profile, group: &Waiting<'_>) -> String {
    let oldest = group.first();
    let place = telling_function(profile, oldest.kernel);
    let below = calls::below(profile, oldest.user);
    let below = if below.is_empty() { below } else { format!(", below {below}") };
    let who = match group.processes() {
        1 => format!("(pid {}, tid {})", profile.processes.pid_text(oldest.pid), oldest.tid.0),
        many => format!(
            "({} processes, pid {} among them)",
            humane::count(many as u64),
            profile.processes.pid_text(oldest.pid)
        ),
    };
    let about = match subject::words(profile, oldest.subject()) {
        words if words.is_empty() => words,
        words => format!(", of {words}"),
    };
    format!(
        "{}: {} in {} {who}{}{below}{about}",
        humane::least(oldest.age_ns, oldest.at_least),
        syscalls::name(oldest.nr),
        process(profile, oldest.pid),
        place.map_or_else(String::new, |function| format!(", in {}", clean::name(function))),
    )
}
