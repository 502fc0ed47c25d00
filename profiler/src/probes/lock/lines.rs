//! Lock waits, a line for each (process, lock, caller, context).
//!
//! In: rows of lock waits and holders. Out: lines, the longest total first, each with its heaviest stack.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::holders::{self, Held};
use super::picture::lock_name;
use crate::profile::rows::{LockContext, LockKey, LockKind};
use crate::profile::{Histogram, Pid, Profile};
use crate::render::locks::LockName;

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
        let name = lock_name(profile, key);
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
    let with_holders = |(place, line): (holders::LineKey, LockLine)| LockLine {
        holders: holders.remove(&place).unwrap_or_default(),
        ..line
    };
    let mut lines: Vec<_> = groups.into_iter().map(with_holders).collect();
    lines.sort_by_key(|line| Reverse(line.wait.total_ns));
    lines
}
