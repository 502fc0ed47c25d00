//! Long waits with the same names on their stacks, as one.
//!
//! In: rows by stacks. Out: one row per wait, stacks and ender as they are spelled, heaviest first: two addresses in
//! one function are one place, and what an interrupt's stack has below its entry is left out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Ender;
use crate::profile::Profile;
use crate::profile::waits::{WaitKey, WaitStackKey, WaitStackRow};
use crate::render::fold::Folder;
use crate::render::probe::{offcpu, wakers};

/// Waits of one kind, with one pair of stacks, ended by one from one place.
pub struct Merged {
    /// One of the rows.
    pub key: WaitStackKey,
    /// Who ended them.
    pub ender: Ender,
    /// User and kernel stack of the waiter with the call between them, the root first.
    pub stack: Vec<String>,
    /// That of who ended them.
    pub waker: Vec<String>,
    /// Their sum.
    pub row: WaitStackRow,
}

/// All of them that `of` wants.
pub fn rows(
    profile: &Profile,
    folder: &mut Folder<'_>,
    mut of: impl FnMut(&WaitStackKey) -> bool,
) -> Vec<Merged> {
    type Same = (WaitKey, Ender, Vec<String>, Vec<String>);
    let mut sums: BTreeMap<Same, (WaitStackKey, WaitStackRow)> = BTreeMap::new();
    for (key, row) in profile.waits.stacks.iter().filter(|(key, _)| of(key)) {
        let ender = Ender::of(profile, key.waker);
        offcpu::push(key, folder);
        let stack = folder.take();
        wakers::push_stacks(ender, key.waker, folder);
        let same = (key.row, ender, stack, folder.take());
        sums.entry(same).or_insert((*key, WaitStackRow::default())).1.add(row);
    }
    let merged = |((_, ender, stack, waker), (key, row))| Merged { key, ender, stack, waker, row };
    let mut rows: Vec<_> = sums.into_iter().map(merged).collect();
    rows.sort_by_key(|merged| Reverse(merged.row.total_ns));
    rows
}
