//! Who held the locks that were waited for.
//!
//! In: rows by holder. Out: for each line of the lock table its holders, longest first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::picture::lock_name;
use crate::profile::rows::{Holder, HolderRow, LockContext, LockKey, LockKind};
use crate::profile::{Pid, Profile, StackId};
use crate::render::humane;
use crate::render::locks::LockName;
use crate::render::who::process;

/// Holders named in a sentence at most.
const NAMED: usize = 3;

/// A line of the lock table.
pub type LineKey = (Pid, LockKind, LockContext, LockName);

/// One holder of the locks of a line.
pub type Held = (Holder, HolderRow);

/// Holders by line, longest first.
pub fn by_place(profile: &Profile) -> BTreeMap<LineKey, Vec<Held>> {
    let mut sums: BTreeMap<(LineKey, Holder), HolderRow> = BTreeMap::new();
    for (key, row) in &profile.lock.holders {
        let waited = LockKey {
            pid: key.pid,
            kind: key.kind,
            context: LockContext::Task,
            lock: key.lock,
            kernel: key.kernel,
            user: StackId::NONE,
        };
        let place = (key.pid, key.kind, LockContext::Task, lock_name(profile, &waited));
        let sum = sums.entry((place, key.holder)).or_default();
        sum.waits = sum.waits.saturating_add(row.waits);
        sum.total_ns = sum.total_ns.saturating_add(row.total_ns);
    }
    let mut places: BTreeMap<LineKey, Vec<Held>> = BTreeMap::new();
    for ((place, holder), row) in sums {
        places.entry(place).or_default().push((holder, row));
    }
    for holders in places.values_mut() {
        holders.sort_by_key(|(_, row)| Reverse(row.total_ns));
    }
    places
}

/// `postgres[123] 80 %, readers 3 %`: shares of the time that `waiter` waited; empty without holders.
pub fn phrase(profile: &Profile, (waiter, total_ns): (Pid, u64), holders: &[Held]) -> String {
    let one = |(holder, row): &Held| {
        let who = match holder {
            Holder::Process(pid) if *pid == waiter => "itself".to_owned(),
            Holder::Process(pid) => {
                format!("{}[{}]", process(profile, *pid), profile.processes.pid_text(*pid))
            }
            Holder::Readers => "readers".to_owned(),
        };
        format!("{who} {}", humane::part(row.total_ns, total_ns))
    };
    let named: Vec<String> = holders.iter().take(NAMED).map(one).collect();
    let rest = holders.len().saturating_sub(NAMED);
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    named.join(", ") + &more
}
