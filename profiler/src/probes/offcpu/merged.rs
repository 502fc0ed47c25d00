//! One row for long waits with the same names on their stacks.
//!
//! In: rows by stacks. Out: one row per wait, names on the stacks and ender, heaviest first. Two addresses in one function
//! count as the same frame, and frames below an interrupt's entry are left out.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{picture, wakers};
use crate::probes::waits::ender::Ender;
use crate::profile::Profile;
use crate::profile::waits::{WaitKey, WaitStackKey, WaitStackRow};
use crate::render::fold::Folder;

/// Waits of one kind, with one pair of stacks, ended by one from one place.
pub struct Merged {
    /// The first of the rows: its stacks are those of all.
    pub key: WaitStackKey,
    /// Who ended them.
    pub ender: Ender,
    /// Their sum.
    pub row: WaitStackRow,
}

/// All of them that `of` wants.
pub fn rows(profile: &Profile, mut of: impl FnMut(&WaitStackKey) -> bool) -> Vec<Merged> {
    type Same = (WaitKey, Ender, u64, u64);
    let mut folder = Folder::new(profile);
    // The stacks stand in it by a hash of their names: there may be a million.
    let mut sums: HashMap<Same, (WaitStackKey, WaitStackRow)> = HashMap::new();
    for (key, row) in profile.waits.stacks.iter().filter(|(key, _)| of(key)) {
        let ender = Ender::of(profile, key.waker);
        picture::push(key, &mut folder);
        let stack = folder.take_hash();
        wakers::push_stacks(ender, key.waker, &mut folder);
        let same = (key.row, ender, stack, folder.take_hash());
        sums.entry(same).or_insert((*key, WaitStackRow::default())).1.add(row);
    }
    let mut rows: Vec<_> =
        sums.into_iter().map(|((_, ender, ..), (key, row))| Merged { key, ender, row }).collect();
    rows.sort_by_key(|merged| (Reverse(merged.row.total_ns), merged.key));
    rows
}
