//! Who is to blame, in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: rows by lock and holder. Out: what serde writes, heaviest first.

use std::cmp::Reverse;

use serde::Serialize;

use super::rows::{HeldKey, HeldRow, LockHolder, Told};
use crate::profile::Profile;
use crate::render::json_row::{Owner, owner};

/// Who held a lock of user space.
#[derive(Serialize)]
pub struct Holder<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    tid: u32,
    thread: String,
    told: Told,
    ending: bool,
}

/// The holder, or why nobody is named.
pub fn holder<'p>(profile: &'p Profile, holder: &LockHolder) -> (Option<Holder<'p>>, &'static str) {
    match holder.process() {
        Some(pid) => {
            let (thread, told, ending) = (holder.name(), holder.told, holder.ending);
            (Some(Holder { owner: owner(profile, pid), tid: holder.tid.0, thread, told, ending }), "")
        }
        None => (None, holder.told.unknown().unwrap_or("not told")),
    }
}

/// Long waits of one process for one lock and holder.
#[derive(Serialize)]
pub struct Held<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    lock: u64,
    holder: Option<Holder<'p>>,
    holder_unknown: &'static str,
    waits: u64,
    total_ns: u64,
    max_ns: u64,
    ended_by_holder: u64,
}

/// All of them.
pub fn held(profile: &Profile) -> Vec<Held<'_>> {
    let mut rows: Vec<(&HeldKey, &HeldRow)> = profile.waits.blame.held.iter().collect();
    rows.sort_by_key(|(key, row)| (Reverse(row.total_ns), **key));
    let row = |(key, row): (&HeldKey, &HeldRow)| {
        let (holder, holder_unknown) = holder(profile, &key.holder);
        Held {
            owner: owner(profile, key.pid),
            lock: key.lock,
            holder,
            holder_unknown,
            waits: row.waits,
            total_ns: row.total_ns,
            max_ns: row.max_ns,
            ended_by_holder: row.ended_by_holder,
        }
    };
    rows.into_iter().map(row).collect()
}
