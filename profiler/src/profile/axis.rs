//! Latencies over time: per interval and system call, over all processes.
//!
//! In: the rows of each interval. Out: at most [`COLUMNS`] columns of at most [`CALLS`] calls each;
//! other calls are summed as `other`. Longer sessions get wider columns.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::call::CallNumber;
use super::histogram::Histogram;
use crate::probes::syscall::rows::SyscallRows;

/// Columns at most: with one more, neighbours become one.
pub const COLUMNS: usize = 512;
/// Calls that have rows of their own at most.
pub const CALLS: usize = 32;

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
}

/// The session's latencies over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeAxis {
    columns: Vec<Column>,
    /// Time of each call with a row of its own, ns: the call with the least gives way to a longer one.
    totals: BTreeMap<CallNumber, u64>,
}

impl TimeAxis {
    /// Adds an interval.
    pub fn add(&mut self, start_ns: u64, end_ns: u64, rows: &SyscallRows) {
        let mut calls: BTreeMap<CallNumber, Histogram> = BTreeMap::new();
        for ((_, nr), row) in &rows.rows {
            calls.entry(*nr).or_default().merge(&row.latency);
        }
        let mut column = Column { start_ns, end_ns, ..Column::default() };
        // The longest first: none takes the row of one before it. Only so many may take one at all, so that a
        // capture with every number there is costs no more.
        let mut calls: Vec<_> = calls.into_iter().collect();
        calls.sort_by_key(|(nr, latency)| (Reverse(latency.total_ns), *nr));
        for (place, (nr, latency)) in calls.into_iter().enumerate() {
            if self.totals.contains_key(&nr) || place < CALLS && self.make_room(latency.total_ns) {
                let total = self.totals.entry(nr).or_default();
                *total = total.saturating_add(latency.total_ns);
                column.calls.insert(nr, latency);
            } else {
                column.other.merge(&latency);
            }
        }
        self.columns.push(column);
        if self.columns.len() > COLUMNS {
            self.widen();
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
        self.totals.keys().copied()
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

    /// Whether there is a row for one more call: a free one, or that of a call that took less time so far.
    fn make_room(&mut self, total_ns: u64) -> bool {
        if self.totals.len() < CALLS {
            return true;
        }
        let least = self.totals.iter().min_by_key(|(_, total)| **total).map(|(nr, total)| (*nr, *total));
        let Some((least, _)) = least.filter(|(_, least_ns)| *least_ns < total_ns) else { return false };
        self.totals.remove(&least);
        self.columns.iter_mut().for_each(|column| fold(column, least));
        true
    }

    fn widen(&mut self) {
        let mut wide = Vec::with_capacity(COLUMNS);
        let mut columns = std::mem::take(&mut self.columns).into_iter();
        while let Some(mut column) = columns.next() {
            if let Some(next) = columns.next() {
                column.end_ns = column.end_ns.max(next.end_ns);
                column.other.merge(&next.other);
                for (nr, latency) in &next.calls {
                    column.calls.entry(*nr).or_default().merge(latency);
                }
            }
            wide.push(column);
        }
        self.columns = wide;
    }
}

fn fold(column: &mut Column, nr: CallNumber) {
    if let Some(latency) = column.calls.remove(&nr) {
        column.other.merge(&latency);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Pid, SyscallRow};

    fn rows(calls: &[(u32, CallNumber, u64)]) -> SyscallRows {
        let mut rows = SyscallRows::default();
        for &(pid, nr, ns) in calls {
            let row: &mut SyscallRow = rows.rows.entry((Pid(pid), nr)).or_default();
            row.latency.record(ns);
        }
        rows
    }

    #[test]
    fn processes_are_summed_and_intervals_are_not() {
        let mut axis = TimeAxis::default();
        axis.add(0, 10, &rows(&[(1, 0, 100), (2, 0, 300), (2, 7, 5)]));
        axis.add(10, 20, &rows(&[(1, 0, 900)]));
        let counts: Vec<_> = axis.columns().iter().map(|column| column.calls[&0].count()).collect();
        assert_eq!((counts, axis.call(0).total_ns, axis.calls().count()), (vec![2, 1], 1300, 2));
    }

    #[test]
    fn the_shortest_call_gives_way_and_nothing_is_lost() {
        let mut axis = TimeAxis::default();
        let calls: Vec<_> = (0..2 * CALLS as u32).map(|nr| (1, nr, 100 + u64::from(nr))).collect();
        axis.add(0, 1, &rows(&calls));
        assert_eq!(axis.calls().min(), Some(CALLS as u32), "the longer half has rows");
        let truth: u64 = calls.iter().map(|(.., ns)| ns).sum();
        let kept: u64 = axis.calls().map(|nr| axis.call(nr).total_ns).sum();
        assert_eq!(kept + axis.other().total_ns, truth);
        assert_eq!(axis.other().count(), CALLS as u64);
        axis.add(1, 2, &rows(&[(1, 1, 50)]));
        assert_eq!(axis.other().count(), CALLS as u64 + 1, "a short call takes nobody's row");
    }

    #[test]
    fn long_sessions_get_wider_columns() {
        let mut axis = TimeAxis::default();
        for second in 0..10_000 {
            axis.add(second, second + 1, &rows(&[(1, 0, 7)]));
        }
        let columns = axis.columns();
        assert!((COLUMNS / 2..=COLUMNS).contains(&columns.len()), "{}", columns.len());
        assert_eq!((columns[0].start_ns, columns[columns.len() - 1].end_ns), (0, 10_000));
        assert!(columns.windows(2).all(|pair| pair[0].end_ns == pair[1].start_ns));
        assert_eq!(axis.call(0).count(), 10_000);
    }
}
