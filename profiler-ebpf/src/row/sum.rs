//! Rows in a hash: look a row up and add to it, or make it, or count that there was no room.
//!
//! In: a key with this CPU as the writer. Out: its row, or a count of what was lost.

use aya_ebpf::maps::HashMap;
use profiler_common::outcome::Outcome;

use crate::outcome::{busy, count};

/// Adds to a row by `add`. If there is no row, `first` becomes it; without room, `lost` is counted. True: there was no row.
#[inline(always)]
pub fn add<K, V>(
    rows: &HashMap<K, V>,
    key: &K,
    first: &V,
    lost: (Outcome, u64),
    add: impl FnOnce(&mut V),
) -> bool {
    if let Some(row) = rows.get_ptr_mut(key) {
        // SAFETY: the key names this CPU as the row's writer, so no other CPU writes it; user space reads the rows of
        // the other epoch. A program on top of this one has another stack, and so another key, or is of a kind that
        // never runs on top of one with the same rows.
        add(unsafe { &mut *row });
        return false;
    }
    if busy(|| rows.insert(key, first, 0)).is_err() {
        count(lost.0, lost.1);
    }
    true
}
