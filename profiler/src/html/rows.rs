//! Tables whose rows have times: calls, locks, hooks, waits.
//!
//! In: ranked rows of the whole recording, rows of intervals. Out: for each row its cells and its times in each slice. The heaviest rows
//! are kept; the others are one row, which says how many they are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use profiler_common::histogram::{SLOTS, octave, slot};

use super::column::Column;
use crate::probes::lock::picture::lock_name;
use crate::probes::waits::class::Classes;
use crate::profile::measured::Measured;
use crate::profile::rows::{LockContext, LockKey};
use crate::profile::{Histogram, Pid, Profile};
use crate::render::ranked::Ranked;
use crate::render::syscalls::{self, NO_CALL};
use crate::render::{clean, humane, who};

/// Rows of a table that have times of their own.
const ROWS: usize = 200;

/// One table.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What its rows are.
    pub title: &'static str,
    /// Titles of the cells.
    pub columns: &'static [&'static str],
    /// Cells of each row, and its class.
    pub rows: Vec<(Vec<String>, &'static str)>,
    whole: Vec<Histogram>,
    times: BTreeMap<(u32, u32), Histogram>,
    /// Rows from here on are one.
    kept: usize,
}

impl Table {
    fn new(
        (name, title): (&'static str, &'static str),
        columns: &'static [&'static str],
        mut rows: Vec<(Vec<String>, &'static str, Histogram)>,
    ) -> Self {
        let kept = rows.len().min(ROWS);
        let mut rest = Histogram::default();
        rows.iter().skip(kept).for_each(|(.., times)| rest.merge(times));
        let over = rows.len() - kept;
        rows.truncate(kept);
        if over > 0 {
            let mut cells = vec![format!("{} more rows", humane::count(over as u64))];
            cells.resize(columns.len(), String::new());
            rows.push((cells, "", rest));
        }
        let whole = rows.iter_mut().map(|(.., times)| std::mem::take(times)).collect();
        let rows = rows.into_iter().map(|(cells, class, _)| (cells, class)).collect();
        Self { name, title, columns, rows, whole, times: BTreeMap::new(), kept }
    }

    fn add(&mut self, row: usize, slice: u32, times: &Histogram) {
        self.times.entry((row.min(self.kept) as u32, slice)).or_default().merge(times);
    }

    /// Times of each row by slice; what no slice has is in slice `slices`.
    pub fn code(&self, slices: u32) -> Column {
        let mut column = Column::default();
        for (row, whole) in self.whole.iter().enumerate() {
            let mut left = Left::of(whole);
            let mut last = 0;
            for (&(_, slice), times) in self.times.range((row as u32, 0)..=(row as u32, slices)) {
                left.take(times);
                column.push(u64::from(slice + 1 - last));
                last = slice + 1;
                numbers(&mut column, times.total_ns, times.max_ns, &buckets(times));
            }
            if left.any() {
                column.push(u64::from(slices + 1 - last));
                numbers(&mut column, left.total_ns, whole.max_ns, &left.buckets);
            }
            column.push(0);
        }
        column
    }
}

fn buckets(times: &Histogram) -> BTreeMap<u64, u64> {
    let number = |low: u64| u64::from(octave(low)) * SLOTS as u64 + slot(low) as u64;
    times.buckets().map(|(low, _, events)| (number(low), events)).collect()
}

fn numbers(column: &mut Column, total_ns: u64, max_ns: u64, buckets: &BTreeMap<u64, u64>) {
    column.push(total_ns);
    column.push(max_ns);
    column.push(buckets.len() as u64);
    let mut last = 0;
    for (bucket, events) in buckets {
        column.push(bucket - last);
        column.push(*events);
        last = *bucket;
    }
}

/// What is left of a row's times.
struct Left {
    total_ns: u64,
    buckets: BTreeMap<u64, u64>,
}

impl Left {
    fn of(whole: &Histogram) -> Self {
        Self { total_ns: whole.total_ns, buckets: buckets(whole) }
    }

    fn take(&mut self, times: &Histogram) {
        self.total_ns = self.total_ns.saturating_sub(times.total_ns);
        for (bucket, events) in buckets(times) {
            if let Some(left) = self.buckets.get_mut(&bucket) {
                *left = left.saturating_sub(events);
            }
        }
        self.buckets.retain(|_, events| *events > 0);
    }

    fn any(&self) -> bool {
        !self.buckets.is_empty()
    }
}

/// All tables, and which row each key is in.
pub struct Tables {
    /// Calls, locks, hooks, waits.
    pub list: [Table; 4],
    calls: HashMap<(Pid, u32), usize>,
    locks: HashMap<LockLine, usize>,
    lock_keys: HashMap<LockKey, Option<usize>>,
    hooks: HashMap<(Pid, u16), usize>,
    waits: HashMap<crate::profile::waits::WaitKey, usize>,
}

type LockLine = (Pid, crate::profile::rows::LockKind, LockContext, crate::render::locks::LockName);

impl Tables {
    /// The rows of the whole recording.
    pub fn new(profile: &Profile, ranked: &Ranked<'_>, classes: &mut Classes<'_>) -> Self {
        let (calls, call_table) = calls(profile, ranked);
        let (locks, lock_table) = locks(profile, ranked);
        let (hooks, hook_table) = hooks(profile);
        let (waits, wait_table) = waits(profile, classes);
        let list = [call_table, lock_table, hook_table, wait_table];
        Self { list, calls, locks, lock_keys: HashMap::new(), hooks, waits }
    }

    /// Adds the rows of an interval.
    pub fn add(&mut self, profile: &Profile, measured: Measured<'_>, slice: u32) {
        let [calls, locks, hooks, waits] = &mut self.list;
        for (key, row) in &measured.syscall.rows {
            if let Some(at) = self.calls.get(key) {
                calls.add(*at, slice, &row.latency);
            }
        }
        for (key, row) in &measured.lock.rows {
            let line = || (key.pid, key.kind, key.context, lock_name(profile, key));
            let at = *self.lock_keys.entry(*key).or_insert_with(|| self.locks.get(&line()).copied());
            if let Some(at) = at {
                locks.add(at, slice, &row.wait);
            }
        }
        for (key, row) in &measured.lsm.rows {
            if let Some(at) = self.hooks.get(&(key.pid, key.site)) {
                hooks.add(*at, slice, &row.time);
            }
        }
        for (key, row) in &measured.waits.rows {
            if let Some(at) = self.waits.get(key) {
                waits.add(*at, slice, row);
            }
        }
    }
}

fn process(profile: &Profile, pid: Pid) -> [String; 2] {
    match pid {
        Pid(0) => ["interrupt".to_owned(), String::new()],
        pid => [who::process(profile, pid), profile.processes.pid_text(pid)],
    }
}

/// Numbers rows by weight, and makes their table.
fn ranked<K: std::hash::Hash + Eq>(
    names: (&'static str, &'static str),
    columns: &'static [&'static str],
    mut rows: Vec<(K, Vec<String>, &'static str, Histogram)>,
) -> (HashMap<K, usize>, Table) {
    rows.sort_by_key(|(.., times)| Reverse(times.total_ns));
    let (mut index, mut list) = (HashMap::new(), Vec::with_capacity(rows.len()));
    for (at, (key, cells, class, times)) in rows.into_iter().enumerate() {
        index.insert(key, at);
        list.push((cells, class, times));
    }
    (index, Table::new(names, columns, list))
}

fn calls(profile: &Profile, ranked_rows: &Ranked<'_>) -> (HashMap<(Pid, u32), usize>, Table) {
    let rows = ranked_rows.syscalls.iter().map(|line| {
        let [name, pid] = process(profile, line.pid);
        let cells = vec![line.name.to_string(), name, pid];
        ((line.pid, line.nr), cells, line.class.name(), line.row.latency.clone())
    });
    ranked(("syscall", "system calls"), &["call", "process", "pid"], rows.collect())
}

fn locks(profile: &Profile, ranked_rows: &Ranked<'_>) -> (HashMap<LockLine, usize>, Table) {
    let rows = ranked_rows.locks.iter().map(|line| {
        let [name, pid] = process(profile, line.pid);
        let lock = format!("{} [{}]", line.kind.name(), clean::name(&line.name.lock));
        let cells = vec![lock, clean::name(&line.name.caller).into_owned(), name, pid];
        ((line.pid, line.kind, line.context, line.name.clone()), cells, "work", line.wait.clone())
    });
    ranked(("lock", "waits for kernel locks"), &["lock", "caller", "process", "pid"], rows.collect())
}

fn hooks(profile: &Profile) -> (HashMap<(Pid, u16), usize>, Table) {
    let mut sums: BTreeMap<(Pid, u16), Histogram> = BTreeMap::new();
    for (key, row) in &profile.lsm.rows {
        sums.entry((key.pid, key.site)).or_default().merge(&row.time);
    }
    let rows = sums.into_iter().map(|((pid, site), times)| {
        let [name, shown] = process(profile, pid);
        let site_row = profile.header.lsm_sites.get(usize::from(site));
        let hook = site_row.map_or("[function not listed]".into(), |site| clean::name(&site.hook));
        let module = site_row.map_or("".into(), |site| clean::name(&site.module));
        ((pid, site), vec![hook.into_owned(), module.into_owned(), name, shown], "work", times)
    });
    ranked(("lsm", "security layer"), &["hook", "module", "process", "pid"], rows.collect())
}

fn waits(
    profile: &Profile,
    classes: &mut Classes<'_>,
) -> (HashMap<crate::profile::waits::WaitKey, usize>, Table) {
    let rows = profile.waits.rows.iter().map(|(key, times)| {
        let [name, pid] = process(profile, key.pid);
        let call = key.nr.map_or(NO_CALL.into(), syscalls::name);
        let class = if key.wait.is_runnable() { "work" } else { classes.of_row(key).0.name() };
        (*key, vec![key.wait.name().to_owned(), call.into_owned(), name, pid], class, times.clone())
    });
    ranked(("offcpu", "waits off the CPU"), &["waited for", "in", "process", "pid"], rows.collect())
}
