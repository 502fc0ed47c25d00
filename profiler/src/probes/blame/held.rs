//! Long waits for locks of user space, a line for each (process, holder).
//!
//! In: rows by lock and holder. Out: lines, the longest total first; a holder in words.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::rows::{HeldRow, LockHolder, Told};
use crate::profile::{Pid, Profile};
use crate::render::syscalls::{self, CallClass};
use crate::render::who::with_pid;
use crate::render::{clean, thread};

/// Waits of one process for what one thread held, or for one reason unknown.
pub struct Line {
    /// Process that waited.
    pub pid: Pid,
    /// Who held the locks.
    pub holder: LockHolder,
    /// How many locks these are.
    pub locks: u64,
    /// Its waits.
    pub row: HeldRow,
}

/// All of them.
pub fn lines(profile: &Profile) -> Vec<Line> {
    let mut sums: BTreeMap<(Pid, LockHolder), (BTreeSet<u64>, HeldRow)> = BTreeMap::new();
    for (key, row) in &profile.waits.blame.held {
        let (locks, sum) = sums.entry((key.pid, one(key.holder))).or_default();
        locks.insert(key.lock);
        sum.add(row);
    }
    let line = |((pid, holder), (locks, row)): ((Pid, LockHolder), (BTreeSet<u64>, HeldRow))| Line {
        pid,
        holder,
        locks: locks.len() as u64,
        row,
    };
    let mut lines: Vec<_> = sums.into_iter().map(line).collect();
    lines.sort_by_key(|line| (Reverse(line.row.total_ns), line.pid, line.holder));
    lines
}

/// One thread, however it was told; those that are not named are one for each reason.
fn one(holder: LockHolder) -> LockHolder {
    match holder.process() {
        Some(_) => LockHolder { told: Told::Glibc, ending: false, ..holder },
        None => LockHolder { told: holder.told, ..LockHolder::default() },
    }
}

/// `worker 4712 of redis[4711]`, `worker 4712` of the waiter's own process, or `unknown (lock keeps no owner)`.
pub fn words(profile: &Profile, waiter: Pid, holder: &LockHolder) -> String {
    let Some(pid) = holder.process() else {
        return format!("unknown ({})", holder.told.unknown().unwrap_or("not told"));
    };
    let name = holder.name();
    let thread = match thread::cell(profile, pid, (holder.tid, &name)) {
        told if told.contains(' ') => told,
        told => format!("{} {told}", clean::name(if name.is_empty() { "thread" } else { &name })),
    };
    let ending = if holder.ending { ", which ended" } else { "" };
    if pid == waiter {
        format!("{thread}{ending}")
    } else {
        format!("{thread} of {}{ending}", with_pid(profile, pid))
    }
}

/// All time that a process was asleep in `futex`, ns.
pub fn futex_ns(profile: &Profile, pid: Pid) -> u64 {
    let rows = profile.waits.rows.iter().filter(|(key, _)| key.pid == pid && !key.wait.is_runnable());
    let locks = rows.filter(|(key, _)| key.nr.is_some_and(|nr| syscalls::class(nr) == CallClass::UserLock));
    locks.map(|(_, row)| row.total_ns).fold(0, u64::saturating_add)
}
