//! Which call waits for which peer, and for which peer a program spends most of its CPU time.
//!
//! In: ranked waits and samples, rows of receives. Out: two findings. Only a peer that the process connected
//! to is a dependency. A peer that connected to the process sends requests, and waiting for these is idle.

use std::collections::BTreeSet;

use super::cpu::{self, PeerCpuLine, Whom};
use super::lines::{PeerLine, peers};
use super::rows::PeerRow;
use crate::probes::cpu::findings::cpu_ns as sampled_ns;
use crate::probes::waits::findings::{percent_of_time, time_in};
use crate::profile::peer::Host;
use crate::profile::rows::CallNumber;
use crate::profile::{Pid, Profile};
use crate::render::group::{self, Group};
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, Rule, rank};
use crate::render::syscalls::{self, CallClass};
use crate::render::who::who;
use crate::render::{humane, sampled};

/// All rules about peers.
pub const RULES: &[Rule] = &[peer_wait, cpu_by_peer];

/// Of the time, of 100.
const LEAST_PERCENT: u64 = 5;
/// Waits that a sentence rests on, at least.
const LEAST_WAITS: u64 = 10;
/// Samples that a sentence rests on, at least.
const LEAST_SAMPLES: u64 = 50;
/// Waits from which on their 99th percentile says more than the longest of them.
const MANY_WAITS: u64 = 100;

/// Apply: 5 % of the time asleep for one peer in one call of one program.
fn peer_wait(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let lines = peers(profile);
    let connected = lines.iter().filter(|line| line.key.connected);
    let key = |line: &PeerLine<'_>| group::key(profile, line.key.pid, (line.key.nr, line.key.peer));
    let mut groups = group::whole(connected, key, PeerLine::weight);
    groups.retain(|group| percent_of_time(profile, group.weight(), LEAST_PERCENT));
    groups.iter().find_map(|group| told(profile, ranked, group))
}

/// Apply: a program works for several peers, and surely more than half of its samples are for one of them.
/// Refuse: where it is not known for whom it works.
fn cpu_by_peer(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    let (lines, samples) = (&ranked.cpu_by_peer, |line: &PeerCpuLine| line.samples);
    let peers = lines.iter().filter(|line| matches!(line.whom, Whom::Peer(Host::Ip(_) | Host::Redacted(_))));
    let groups = group::whole(peers, |line| group::key(profile, line.pid, line.whom), samples);
    let worst = groups.first().filter(|group| group.weight() >= LEAST_SAMPLES)?;
    let program = |line: &PeerCpuLine| group::key(profile, line.pid, ());
    let own = |line: &&PeerCpuLine| program(line) == program(worst.first());
    let all = lines.iter().filter(own).map(samples).fold(0, u64::saturating_add);
    let share = sampled::carries(worst.weight(), all)?;
    let among = groups.iter().filter(|group| own(&group.first())).count() as u64;
    if among < 2 {
        return None;
    }
    let others = lines.iter().filter(own).any(|line| line.whom == Whom::Peer(Host::Others));
    let more = if others { "more than " } else { "" };
    let (function, inside) = cpu::top_function(worst.lines().iter().copied());
    let place = sampled::carries(inside, worst.weight())
        .map_or_else(String::new, |interval| format!("; {} of that in {function}", interval.text()));
    let cost_ns = sampled_ns(profile, worst.weight());
    Some(Finding {
        rule: "cpu_by_peer",
        rank: rank::CPU,
        sentence: format!(
            "{} of the CPU time of {} is work for {}, one of {more}{} peers{place}.",
            share.text(),
            who(profile, worst, |line| (line.pid, line.samples)),
            worst.first().whom,
            humane::count(among),
        ),
        confidence: Confidence::High,
        cost_ns,
        threshold: "surely more than half of the samples, ≥ 50, of a program with several peers",
        evidence: vec![
            ("samples", worst.weight()),
            ("all_samples", all),
            ("peers", among),
            ("function_samples", inside),
        ],
    })
}

fn told(profile: &Profile, ranked: &Ranked<'_>, group: &Group<'_, PeerLine<'_>>) -> Option<Finding> {
    let mut all = PeerRow::default();
    group.lines().iter().for_each(|line| all.merge(line.row));
    let (nr, peer) = (group.first().key.nr, group.first().key.peer);
    let pids: BTreeSet<Pid> = group.lines().iter().map(|line| line.key.pid).collect();
    let (count, waited) = (all.waits.count(), all.waits.total_ns);
    if count < LEAST_WAITS || !is_work(ranked, &pids, nr) {
        return None;
    }
    // Without rows of calls, a part of the time of those that slept for it.
    let whole = time_in(profile, &pids, nr).max(all.wall_ns);
    let (slow, what) = match count {
        MANY_WAITS.. => (all.waits.percentile_ns(990), "p99"),
        _ => (all.waits.max_ns, "longest"),
    };
    let trip = all.round_trip_ns();
    let way = trip.map_or_else(String::new, |ns| format!("; a round trip takes {}", humane::duration(ns)));
    Some(Finding {
        rule: "peer_wait",
        rank: rank::PEER,
        sentence: format!(
            "{} of {} in {} is waiting for {peer}: {} waits, {}, {what} {}{way}.",
            humane::part(waited, whole),
            syscalls::name(nr),
            who(profile, group, |line| (line.key.pid, line.weight())),
            humane::count(count),
            humane::duration(waited),
            humane::duration(slow),
        ),
        confidence: Confidence::High,
        cost_ns: Some(waited),
        threshold: "≥ 5 % of the time, ≥ 10 waits, by connections that the process opened",
        evidence: vec![
            ("waited_ns", waited),
            ("of_ns", whole),
            ("waits", count),
            ("p99_ns", all.waits.percentile_ns(990)),
            ("max_ns", all.waits.max_ns),
            ("round_trip_ns", trip.unwrap_or(0)),
        ],
    })
}

/// Whether most of the time blocked in that call is work: by who ended the waits; where nobody measured that, by the call's
/// name.
fn is_work(ranked: &Ranked<'_>, pids: &BTreeSet<Pid>, nr: CallNumber) -> bool {
    let own = || ranked.blocked.iter().filter(|line| line.nr == Some(nr) && pids.contains(&line.pid));
    let sum = |class: Option<CallClass>| {
        let lines = own().filter(|line| class.is_none_or(|class| line.class == class));
        lines.map(|line| line.total_ns).fold(0, u64::saturating_add)
    };
    match sum(None) {
        0 => syscalls::class(nr) == CallClass::Work,
        all => sum(Some(CallClass::Work)) >= all.div_ceil(2),
    }
}
