//! What happened when: latencies by system call, CPU samples, receives by peer, per interval and over all
//! processes.
//!
//! In: each interval. Out: at most [`COLUMNS`] columns of at most [`CALLS`] calls and [`HOSTS`] peers each;
//! all other calls, and all other peers, are summed. Longer sessions get wider columns.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::call::CallNumber;
use super::chunk::Interval;
use super::foremost::{Foremost, Row};
use super::histogram::Histogram;
use super::peer::Host;
use crate::probes::peer::rows::PeerRows;
use crate::probes::syscall::rows::SyscallRows;

/// Columns at most: with one more, neighbours become one.
pub const COLUMNS: usize = 512;
/// Calls that have rows of their own at most.
pub const CALLS: usize = 32;
/// Peers that have rows of their own at most.
pub const HOSTS: usize = 16;

/// One stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// Begin, ns since the start of the session.
    pub start_ns: u64,
    /// End, ns since the start of the session.
    pub end_ns: u64,
    /// Latencies by call.
    pub calls: BTreeMap<CallNumber, Histogram>,
    /// Latencies of all other calls.
    pub other: Histogram,
    /// CPU samples.
    pub samples: u64,
    /// Receives that were waited for, by peer.
    pub receives: BTreeMap<Host, u64>,
    /// Those from all other peers.
    pub other_receives: u64,
}

/// The session over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeAxis {
    columns: Vec<Column>,
    /// Time of each call with a row of its own, ns: the call with the least gives way to a longer one.
    calls: Foremost<CallNumber, CALLS>,
    /// Receives of each peer with a row of its own.
    hosts: Foremost<Host, HOSTS>,
}

impl TimeAxis {
    /// Adds an interval.
    pub fn add(&mut self, interval: &Interval) {
        let mut column = Column { start_ns: interval.start_ns, end_ns: interval.end_ns, ..Column::default() };
        column.samples = interval.cpu.rows.values().map(|row| row.samples).fold(0, u64::saturating_add);
        self.add_calls(&mut column, &interval.syscall);
        self.add_receives(&mut column, &interval.peer);
        self.columns.push(column);
        if self.columns.len() > COLUMNS {
            self.widen();
        }
    }

    fn add_calls(&mut self, column: &mut Column, rows: &SyscallRows) {
        let mut calls: BTreeMap<CallNumber, Histogram> = BTreeMap::new();
        for ((_, nr), row) in &rows.rows {
            calls.entry(*nr).or_default().merge(&row.latency);
        }
        let mut calls: Vec<_> = calls.into_iter().collect();
        calls.sort_by_key(|(nr, latency)| (Reverse(latency.total_ns), *nr));
        for (place, (nr, latency)) in calls.into_iter().enumerate() {
            let row = self.calls.row(nr, latency.total_ns, place);
            if let Row::InsteadOf(least) = row {
                self.columns.iter_mut().chain([&mut *column]).for_each(|column| fold_call(column, least));
            }
            match row {
                Row::Others => column.other.merge(&latency),
                Row::Own | Row::InsteadOf(_) => drop(column.calls.insert(nr, latency)),
            }
        }
    }

    fn add_receives(&mut self, column: &mut Column, rows: &PeerRows) {
        let mut hosts: BTreeMap<Host, u64> = BTreeMap::new();
        for (key, row) in &rows.rows {
            let receives = hosts.entry(key.peer.host).or_default();
            *receives = receives.saturating_add(row.waits.count());
        }
        let mut hosts: Vec<_> = hosts.into_iter().collect();
        hosts.sort_by_key(|(host, receives)| (Reverse(*receives), *host));
        for (place, (host, receives)) in hosts.into_iter().enumerate() {
            let row = self.hosts.row(host, receives, place);
            if let Row::InsteadOf(least) = row {
                self.columns.iter_mut().chain([&mut *column]).for_each(|column| fold_host(column, least));
            }
            let to = match row {
                Row::Others => &mut column.other_receives,
                Row::Own | Row::InsteadOf(_) => column.receives.entry(host).or_default(),
            };
            *to = to.saturating_add(receives);
        }
    }

    /// The columns in order of time.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Latencies of one call over the whole session.
    pub fn call(&self, nr: CallNumber) -> Histogram {
        self.sum(self.columns.iter().filter_map(|column| column.calls.get(&nr)))
    }

    /// Calls that have rows of their own.
    pub fn calls(&self) -> impl Iterator<Item = CallNumber> + '_ {
        self.calls.iter().map(|(nr, _)| nr)
    }

    /// Peers that have rows of their own, and the receives of each.
    pub fn hosts(&self) -> impl Iterator<Item = (Host, u64)> + '_ {
        self.hosts.iter()
    }

    /// Gives peers other names, each one of its own.
    pub fn rewrite_hosts(&mut self, new: &mut dyn FnMut(Host) -> Host) {
        self.hosts = self.hosts.iter().map(|(host, receives)| (new(host), receives)).collect();
        for column in &mut self.columns {
            column.receives = std::mem::take(&mut column.receives)
                .into_iter()
                .map(|(host, count)| (new(host), count))
                .collect();
        }
    }

    /// Latencies of all calls without rows of their own.
    pub fn other(&self) -> Histogram {
        self.sum(self.columns.iter().map(|column| &column.other))
    }

    fn sum<'h>(&self, histograms: impl Iterator<Item = &'h Histogram>) -> Histogram {
        let mut sum = Histogram::default();
        histograms.for_each(|histogram| sum.merge(histogram));
        sum
    }

    fn widen(&mut self) {
        let mut wide = Vec::with_capacity(COLUMNS);
        let mut columns = std::mem::take(&mut self.columns).into_iter();
        while let Some(mut column) = columns.next() {
            if let Some(next) = columns.next() {
                column.join(next);
            }
            wide.push(column);
        }
        self.columns = wide;
    }
}

impl Column {
    /// Makes it longer by the one behind it, taken apart without `..`: nothing of it is forgotten.
    fn join(&mut self, next: Self) {
        let Self { start_ns: _, end_ns, calls, other, samples, receives, other_receives } = next;
        self.end_ns = self.end_ns.max(end_ns);
        for (nr, latency) in &calls {
            self.calls.entry(*nr).or_default().merge(latency);
        }
        self.other.merge(&other);
        self.samples = self.samples.saturating_add(samples);
        for (host, count) in receives {
            let own = self.receives.entry(host).or_default();
            *own = own.saturating_add(count);
        }
        self.other_receives = self.other_receives.saturating_add(other_receives);
    }
}

fn fold_call(column: &mut Column, nr: CallNumber) {
    if let Some(latency) = column.calls.remove(&nr) {
        column.other.merge(&latency);
    }
}

fn fold_host(column: &mut Column, host: Host) {
    if let Some(receives) = column.receives.remove(&host) {
        column.other_receives = column.other_receives.saturating_add(receives);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::peer::rows::PeerKey;
    use crate::profile::peer::Peer;
    use crate::profile::{Pid, SyscallRow};

    fn interval(start_ns: u64, end_ns: u64, calls: &[(u32, CallNumber, u64)]) -> Interval {
        let mut interval = Interval { start_ns, end_ns, ..Interval::default() };
        for &(pid, nr, ns) in calls {
            let row: &mut SyscallRow = interval.syscall.rows.entry((Pid(pid), nr)).or_default();
            row.latency.record(ns);
        }
        interval
    }

    #[test]
    fn peers_that_send_little_give_way_and_no_receive_is_lost() {
        let from = |hosts: std::ops::Range<u32>, many: u64| {
            let mut interval = Interval::default();
            for host in hosts {
                let peer = Peer { host: Host::Redacted(host), port: 9 };
                let key = PeerKey { pid: Pid(7), nr: 0, peer, connected: false };
                let row = interval.peer.rows.entry(key).or_default();
                (0..many).for_each(|_| row.waits.record(5));
            }
            interval
        };
        let mut axis = TimeAxis::default();
        axis.add(&from(0..HOSTS as u32 + 2, 1));
        axis.add(&from(90..91, 3));
        assert_eq!(axis.hosts().count(), HOSTS);
        assert!(axis.hosts().any(|(host, receives)| host == Host::Redacted(90) && receives == 3));
        let kept: Vec<u64> = axis.columns().iter().map(|column| column.receives.values().sum()).collect();
        let others: Vec<u64> = axis.columns().iter().map(|column| column.other_receives).collect();
        assert_eq!((kept, others), (vec![HOSTS as u64 - 1, 3], vec![3, 0]));
    }

    #[test]
    fn processes_are_summed_and_intervals_are_not() {
        let mut axis = TimeAxis::default();
        axis.add(&interval(0, 10, &[(1, 0, 100), (2, 0, 300), (2, 7, 5)]));
        axis.add(&interval(10, 20, &[(1, 0, 900)]));
        let counts: Vec<_> = axis.columns().iter().map(|column| column.calls[&0].count()).collect();
        assert_eq!((counts, axis.call(0).total_ns, axis.calls().count()), (vec![2, 1], 1300, 2));
    }

    #[test]
    fn the_shortest_call_gives_way_and_nothing_is_lost() {
        let mut axis = TimeAxis::default();
        let calls: Vec<_> = (0..2 * CALLS as u32).map(|nr| (1, nr, 100 + u64::from(nr))).collect();
        axis.add(&interval(0, 1, &calls));
        assert_eq!(axis.calls().min(), Some(CALLS as u32), "the longer half has rows");
        let truth: u64 = calls.iter().map(|(.., ns)| ns).sum();
        let kept: u64 = axis.calls().map(|nr| axis.call(nr).total_ns).sum();
        assert_eq!(kept + axis.other().total_ns, truth);
        assert_eq!(axis.other().count(), CALLS as u64);
        axis.add(&interval(1, 2, &[(1, 1, 50)]));
        assert_eq!(axis.other().count(), CALLS as u64 + 1, "a short call takes nobody's row");
    }

    #[test]
    fn long_sessions_get_wider_columns() {
        let mut axis = TimeAxis::default();
        for second in 0..10_000 {
            axis.add(&interval(second, second + 1, &[(1, 0, 7)]));
        }
        let columns = axis.columns();
        assert!((COLUMNS / 2..=COLUMNS).contains(&columns.len()), "{}", columns.len());
        assert_eq!((columns[0].start_ns, columns[columns.len() - 1].end_ns), (0, 10_000));
        assert!(columns.windows(2).all(|pair| pair[0].end_ns == pair[1].start_ns));
        assert_eq!(axis.call(0).count(), 10_000);
    }
}
