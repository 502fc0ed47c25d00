//! The rows that tables and JSON show, named and ranked.
//!
//! In: the profile's rows. Out: one row per (process, call), (process, lock, caller) and
//! (process, function), heaviest first, each with the key of its heaviest stack.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::fold::Folder;
use super::holders::{self, Held};
use super::locks::LockName;
use super::probe::{cpu, lock};
use super::syscalls::{self, CallClass};
use crate::profile::rows::{CallNumber, CpuKey, LockContext, LockKey, LockKind, SlowKey};
use crate::profile::{Histogram, Pid, Profile, SlowRow, SyscallRow};

/// One (process, system call).
pub struct SyscallLine<'p> {
    /// Process.
    pub pid: Pid,
    /// Call number.
    pub nr: CallNumber,
    /// Call name.
    pub name: Cow<'static, str>,
    /// How it is ranked.
    pub class: CallClass,
    /// What was measured.
    pub row: &'p SyscallRow,
    /// Its slow calls, summed.
    pub slow: SlowRow,
}

/// System calls, longest total first.
pub fn syscalls(profile: &Profile) -> Vec<SyscallLine<'_>> {
    let mut slow: BTreeMap<(Pid, CallNumber), SlowRow> = BTreeMap::new();
    for (key, row) in &profile.syscall.slow {
        add(slow.entry((key.pid, key.nr)).or_default(), row);
    }
    let mut lines: Vec<_> = profile
        .syscall
        .rows
        .iter()
        .map(|(&(pid, nr), row)| SyscallLine {
            pid,
            nr,
            name: syscalls::name(nr),
            class: syscalls::class(nr),
            row,
            slow: slow.get(&(pid, nr)).copied().unwrap_or_default(),
        })
        .collect();
    lines.sort_by_key(|line| Reverse(line.row.latency.total_ns));
    lines
}

/// Adds one row of slow calls to another.
pub fn add(sum: &mut SlowRow, row: &SlowRow) {
    sum.count = sum.count.saturating_add(row.count);
    sum.total_ns = sum.total_ns.saturating_add(row.total_ns);
    sum.max_ns = sum.max_ns.max(row.max_ns);
    sum.off_cpu_ns = sum.off_cpu_ns.saturating_add(row.off_cpu_ns);
    sum.parts.add(&row.parts);
}

/// Slow calls by stacks, work before user locks before idle, longest total first.
pub fn slow(profile: &Profile) -> Vec<(&SlowKey, &SlowRow)> {
    let mut lines: Vec<_> = profile.syscall.slow.iter().collect();
    lines.sort_by_key(|(key, row)| (syscalls::class(key.nr), Reverse(row.total_ns)));
    lines
}

/// One (process, kind of lock, lock, caller, context).
pub struct LockLine {
    /// Process; 0 in interrupts.
    pub pid: Pid,
    /// Kind of lock.
    pub kind: LockKind,
    /// Context that waited.
    pub context: LockContext,
    /// Lock and caller.
    pub name: LockName,
    /// Waits.
    pub wait: Histogram,
    /// The row with the longest total.
    pub heaviest: LockKey,
    /// Its total, ns.
    pub heaviest_ns: u64,
    /// Who held it, where that is known, longest first.
    pub holders: Vec<Held>,
}

/// Lock waits, longest total first.
pub fn locks(profile: &Profile) -> Vec<LockLine> {
    let mut holders = holders::by_place(profile);
    let mut groups = BTreeMap::new();
    for (key, row) in &profile.lock.rows {
        let name = lock::lock_name(profile, key);
        let line = groups.entry((key.pid, key.kind, key.context, name.clone())).or_insert_with(|| LockLine {
            pid: key.pid,
            kind: key.kind,
            context: key.context,
            name,
            wait: Histogram::default(),
            heaviest: *key,
            heaviest_ns: 0,
            holders: Vec::new(),
        });
        line.wait.merge(&row.wait);
        if row.wait.total_ns > line.heaviest_ns {
            (line.heaviest, line.heaviest_ns) = (*key, row.wait.total_ns);
        }
    }
    let with_holders = |(place, line): (holders::Place, LockLine)| LockLine {
        holders: holders.remove(&place).unwrap_or_default(),
        ..line
    };
    let mut lines: Vec<_> = groups.into_iter().map(with_holders).collect();
    lines.sort_by_key(|line| Reverse(line.wait.total_ns));
    lines
}

/// One (process, function at the leaf).
pub struct CpuLine {
    /// Process.
    pub pid: Pid,
    /// The function that ran, as the folded file names it.
    pub function: String,
    /// Samples.
    pub samples: u64,
    /// The row with most samples.
    pub heaviest: CpuKey,
    /// Its samples.
    pub heaviest_samples: u64,
}

/// CPU samples, most first.
pub fn cpu(profile: &Profile, folder: &mut Folder<'_>) -> Vec<CpuLine> {
    let mut groups = BTreeMap::new();
    for (key, row) in &profile.cpu.rows {
        cpu::push(key, folder);
        let Some(leaf) = folder.take_leaf() else { continue };
        let (samples, heaviest) = groups.entry((key.pid, leaf)).or_insert((0_u64, (0, *key)));
        *samples = samples.saturating_add(row.samples);
        if row.samples > heaviest.0 {
            *heaviest = (row.samples, *key);
        }
    }
    let line = |((pid, leaf), (samples, (heaviest_samples, heaviest)))| CpuLine {
        pid,
        function: folder.name(leaf).to_owned(),
        samples,
        heaviest,
        heaviest_samples,
    };
    let mut lines: Vec<_> = groups.into_iter().map(line).collect();
    lines.sort_by_key(|line| Reverse(line.samples));
    lines
}
