//! What happened when: deaths, absences, latency, CPU and peers on one axis.
//!
//! In: a profile. Out: tracks, each with a value for every column of the time axis; the table of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::page::{Page, decisive, text};
use super::{clean, deaths, humane, presence, syscalls};
use crate::probes::crash::place;
use crate::probes::peer::gate::Gate;
use crate::probes::syscall::worst;
use crate::profile::Profile;
use crate::profile::axis::Column;
use crate::profile::deaths::Death;
use crate::profile::peer::Host;

/// Tracks of one kind at most; what is more is summed in one.
const TRACKS: usize = 4;
/// Calls whose latency is a track.
const CALLS: usize = 2;
/// Signs of a line at most.
const SIGNS: usize = 36;
/// Deaths that are no further apart are of one round.
const ROUND_NS: u64 = 500_000_000;
/// From the lowest value to the highest.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What the values of a track are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Deaths.
    Deaths,
    /// How long a part of the target was not there, ns.
    AbsentNs,
    /// What 99 of 100 calls did not take longer than, ns.
    P99Ns,
    /// CPUs in use, in thousandths of one.
    MilliCpus,
    /// Receives that were waited for.
    Receives,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Track {
    /// What is counted.
    pub kind: Kind,
    /// Of what: clean.
    pub name: String,
    /// A value for each column.
    pub values: Vec<u64>,
    /// The time between events, where it is nearly the same each time.
    pub period_ns: Option<u64>,
}

/// All tracks over one axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimeLine {
    /// Begin and end of each column, ns since the start.
    pub columns: Vec<(u64, u64)>,
    /// The tracks: deaths and absences first.
    pub tracks: Vec<Track>,
}

impl TimeLine {
    /// All tracks that have something to show.
    pub fn new(profile: &Profile) -> Self {
        let columns: Vec<_> =
            profile.axis.columns().iter().map(|column| (column.start_ns, column.end_ns)).collect();
        let mut tracks = died(profile, &columns);
        tracks.extend(after_peers(profile, &columns));
        tracks.extend(absent(profile, &columns));
        tracks.extend(latency(profile));
        tracks.extend(cpu(profile));
        tracks.extend(peers(profile));
        tracks.retain(|track| track.values.iter().any(|value| *value > 0));
        Self { columns, tracks }
    }

    /// Whether something died or was not there.
    pub fn has_events(&self) -> bool {
        self.tracks.iter().any(|track| matches!(track.kind, Kind::Deaths | Kind::AbsentNs))
    }
}

impl Kind {
    /// Whether the values of neighbouring columns are summed; if not, the highest stands for them.
    const fn is_sum(self) -> bool {
        matches!(self, Self::Deaths | Self::AbsentNs | Self::Receives)
    }
}

impl Track {
    fn new(kind: Kind, name: &str, values: Vec<u64>) -> Self {
        Self { kind, name: clean::line(name, 64).into_owned(), values, period_ns: None }
    }

    /// The same with fewer values: each stands for `group` of these.
    fn grouped(&self, group: usize) -> Vec<u64> {
        let sum = |values: &[u64]| values.iter().copied().fold(0, u64::saturating_add);
        let highest = |values: &[u64]| values.iter().copied().max().unwrap_or(0);
        self.values
            .chunks(group.max(1))
            .map(|values| if self.kind.is_sum() { sum(values) } else { highest(values) })
            .collect()
    }

    /// Its values in words.
    pub fn said(&self) -> String {
        let highest = self.values.iter().copied().max().unwrap_or(0);
        let sum = self.values.iter().copied().fold(0, u64::saturating_add);
        let every =
            self.period_ns.map(|period| format!(", every {}", humane::duration(period))).unwrap_or_default();
        match self.kind {
            Kind::Deaths => format!("{}{every}", humane::plural(sum, "death")),
            Kind::AbsentNs => format!("{} in all", humane::duration(sum)),
            Kind::P99Ns => format!("up to {}", humane::duration(highest)),
            Kind::MilliCpus => format!("up to {} CPUs", cpus(highest)),
            Kind::Receives => format!("{}{every}", humane::plural(sum, "receive")),
        }
    }

    /// One value in words.
    pub fn value(&self, value: u64) -> String {
        match self.kind {
            Kind::Deaths => humane::plural(value, "death"),
            Kind::AbsentNs | Kind::P99Ns => humane::duration(value),
            Kind::MilliCpus => format!("{} CPUs", cpus(value)),
            Kind::Receives => humane::plural(value, "receive"),
        }
    }

    /// A sign for each value.
    fn signs(&self, group: usize) -> String {
        let values = self.grouped(group);
        let highest = values.iter().copied().max().unwrap_or(0).max(1);
        let sign = |value: &u64| match (self.kind, *value) {
            (_, 0) => '·',
            (Kind::Deaths, count) => u32::try_from(count).ok().and_then(digit).unwrap_or('+'),
            (Kind::AbsentNs, _) => '–',
            (_, value) => {
                let level = u128::from(value) * LEVELS.len() as u128 / (u128::from(highest) + 1);
                LEVELS[level as usize]
            }
        };
        values.iter().map(sign).collect()
    }
}

fn digit(count: u32) -> Option<char> {
    char::from_digit(count, 10)
}

fn cpus(thousandths: u64) -> String {
    format!("{}.{:02}", thousandths / 1000, thousandths % 1000 / 10)
}

/// A line for each group of equal deaths.
fn died(profile: &Profile, columns: &[(u64, u64)]) -> Vec<Track> {
    let tracks = deaths::groups(profile).into_iter().map(|group| {
        let name = format!("{}: {}", group.who(), group.how());
        of_deaths(&name, &group.deaths, columns)
    });
    few(tracks.collect(), "other deaths")
}

/// A line for each peer from which processes received shortly before they died.
fn after_peers(profile: &Profile, columns: &[(u64, u64)]) -> Vec<Track> {
    let mut hosts: BTreeMap<Host, Vec<&Death>> = BTreeMap::new();
    let gate = Gate::of(profile);
    for death in profile.deaths.told() {
        if let Some(received) = place::received(profile, &gate, death) {
            hosts.entry(received.peer.host).or_default().push(death);
        }
    }
    let mut hosts: Vec<_> = hosts.into_iter().collect();
    hosts.sort_by_key(|(host, deaths)| (Reverse(deaths.len()), *host));
    let track = |(host, mut deaths): (Host, Vec<&Death>)| {
        deaths.sort_by_key(|death| death.at_ns);
        of_deaths(&format!("after a receive from {host}"), &deaths, columns)
    };
    few(hosts.into_iter().map(track).collect(), "after receives from others")
}

fn of_deaths(name: &str, deaths: &[&Death], columns: &[(u64, u64)]) -> Track {
    let mut values = vec![0; columns.len()];
    for death in deaths {
        let at = columns.iter().position(|(_, end_ns)| death.at_ns < *end_ns);
        // The last ones die after the last interval was read.
        if let Some(value) = at.or(columns.len().checked_sub(1)).and_then(|at| values.get_mut(at)) {
            *value += 1;
        }
    }
    let mut times: Vec<u64> = deaths.iter().map(|death| death.at_ns).collect();
    // What kills one back end after the other kills them in rounds.
    times.dedup_by(|next, first| next.saturating_sub(*first) < ROUND_NS);
    Track { period_ns: deaths::period(&times), ..Track::new(Kind::Deaths, name, values) }
}

/// A line for each part of the target that was not always there.
fn absent(profile: &Profile, columns: &[(u64, u64)]) -> Vec<Track> {
    let mut names: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for absence in presence::rows(profile) {
        let values = names.entry(absence.name).or_insert_with(|| vec![0; columns.len()]);
        let end_ns = absence.to_ns.unwrap_or(profile.duration_ns);
        for ((from, to), value) in columns.iter().zip(values) {
            *value = value.saturating_add(end_ns.min(*to).saturating_sub(absence.from_ns.max(*from)));
        }
    }
    let track = |(name, values): (&str, _)| Track::new(Kind::AbsentNs, &format!("{name} not there"), values);
    few(names.into_iter().map(track).collect(), "others not there")
}

/// The first tracks; what is more in one.
fn few(mut tracks: Vec<Track>, others: &str) -> Vec<Track> {
    let rest = tracks.split_off(tracks.len().min(TRACKS));
    if let Some(first) = rest.first() {
        let sum = |at: usize| rest.iter().map(|track| track.values[at]).fold(0, u64::saturating_add);
        tracks.push(Track::new(first.kind, others, (0..first.values.len()).map(sum).collect()));
    }
    tracks
}

fn latency(profile: &Profile) -> Vec<Track> {
    let columns = profile.axis.columns();
    let track = |nr| {
        let p99 = |column: &Column| column.calls.get(&nr).map_or(0, |calls| calls.percentile_ns(990));
        Track::new(Kind::P99Ns, &format!("p99 of {}", syscalls::name(nr)), columns.iter().map(p99).collect())
    };
    worst::calls(profile, CALLS).into_iter().map(track).collect()
}

fn cpu(profile: &Profile) -> Option<Track> {
    let hz = u128::from(profile.header.frequency_hz);
    let cpus = |column: &Column| {
        let ns = u128::from(column.end_ns.saturating_sub(column.start_ns));
        let used = u128::from(column.samples) * 1_000_000_000_000;
        used.checked_div(ns * hz).map_or(0, |cpus| u64::try_from(cpus).unwrap_or(u64::MAX))
    };
    (hz > 0).then(|| Track::new(Kind::MilliCpus, "CPU", profile.axis.columns().iter().map(cpus).collect()))
}

/// Peers from which processes received last before they died, then those from which most was received.
fn peers(profile: &Profile) -> Vec<Track> {
    let columns = profile.axis.columns();
    let mut last: BTreeMap<Host, u64> = BTreeMap::new();
    for received in profile.crash.faults.iter().filter_map(|fault| fault.received) {
        *last.entry(received.peer.host).or_default() += 1;
    }
    let mut hosts: Vec<(Host, u64)> = profile.axis.hosts().collect();
    hosts.sort_by_key(|(host, receives)| (Reverse((last.get(host), *receives)), *host));
    let track = |(host, _): (Host, u64)| {
        let values = columns.iter().map(|column| column.receives.get(&host).copied().unwrap_or(0)).collect();
        let track = Track::new(Kind::Receives, &format!("from {host}"), values);
        Track { period_ns: period(&track.values, columns), ..track }
    };
    let others = columns.iter().map(|column| column.other_receives).collect();
    let mut tracks: Vec<_> = hosts.into_iter().map(track).collect();
    tracks.push(Track::new(Kind::Receives, "from other peers", others));
    few(tracks, "from other peers")
}

/// The period of bursts: of columns with receives behind columns without any.
fn period(values: &[u64], columns: &[Column]) -> Option<u64> {
    let before = [0].iter().chain(values);
    let begins =
        values.iter().zip(before).zip(columns).filter(|((value, before), _)| **value > 0 && **before == 0);
    let begins: Vec<u64> = begins.map(|(_, column)| column.start_ns).collect();
    deaths::period(&begins)
}

/// The table; nothing where nobody died or was away.
///
/// # Errors
/// What the writer returns.
pub fn table(page: &mut Page<'_>, profile: &Profile) -> io::Result<()> {
    let line = TimeLine::new(profile);
    let end_ns = line.columns.last().map_or(0, |(_, end_ns)| *end_ns);
    if !line.has_events() || end_ns == 0 {
        return Ok(());
    }
    let group = line.columns.len().div_ceil(SIGNS).max(1);
    let signs = line.columns.len().div_ceil(group) as u64;
    page.heading(&format!(
        "TIME LINE from 0 to {}: each sign is {}",
        humane::duration(end_ns),
        humane::duration(end_ns / signs.max(1))
    ))?;
    let rows: Vec<_> =
        line.tracks.iter().map(|track| vec![track.name.clone(), track.signs(group), track.said()]).collect();
    page.table(&[decisive("what"), text("when"), text("in all")], &rows)
}
