//! Quotas of the lists of `summary.json`.
//!
//! In: bytes as they are written, list by list. Out: whether a list has room for another row; once the document is too
//! large, a smaller quota for the largest lists. Small lists stay whole.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Bytes of the document at most.
pub const BYTES: u64 = 20_000_000;
/// How often the quota is made smaller before the document is given up.
pub const TRIES: u32 = 12;

/// The quotas, and what has been written of the document.
#[derive(Debug, Default)]
pub struct Quotas {
    written: Cell<u64>,
    owed: Cell<u64>,
    /// Bytes of one list at most; none: those of the document.
    level: Cell<Option<u64>>,
    lists: RefCell<BTreeMap<&'static str, Used>>,
}

/// What became of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    bytes: u64,
    left_out: u64,
}

/// A list that is being written.
#[derive(Debug)]
pub struct Open {
    name: &'static str,
    begin: u64,
    room: u64,
    /// Rows written.
    pub kept: usize,
}

impl Open {
    /// Whether another row may be written.
    pub fn has_room(&self, quotas: &Quotas) -> bool {
        quotas.spent() - self.begin < self.room
    }
}

impl Quotas {
    /// Begins the document anew.
    pub fn begin(&self) {
        self.written.set(0);
        self.owed.set(0);
        self.lists.borrow_mut().clear();
    }

    /// What is written at the end because of what was written already.
    pub fn owe(&self, bytes: u64) {
        self.owed.set(self.owed.get() + bytes);
    }

    fn spent(&self) -> u64 {
        self.written.get() + self.owed.get()
    }

    /// Begins a list.
    pub fn open(&self, name: &'static str) -> Open {
        Open { name, begin: self.spent(), room: self.level.get().unwrap_or(BYTES), kept: 0 }
    }

    /// Ends a list that has `all` rows, written or not.
    pub fn close(&self, list: &Open, all: usize) {
        let used = Used { bytes: self.spent() - list.begin, left_out: all.saturating_sub(list.kept) as u64 };
        self.lists.borrow_mut().insert(list.name, used);
    }

    /// Rows that had no room, of all lists.
    pub fn left_out(&self) -> u64 {
        self.lists.borrow().values().map(|used| used.left_out).sum()
    }

    /// The lists that are cut, with the rows that they lack.
    pub fn cut(&self) -> BTreeMap<&'static str, u64> {
        let lists = self.lists.borrow();
        lists
            .iter()
            .filter(|(_, used)| used.left_out > 0)
            .map(|(name, used)| (*name, used.left_out))
            .collect()
    }

    /// Makes the quota smaller, after a document of `total` bytes: the largest lists share what the small ones leave.
    pub fn shrink(&self, total: u64, attempt: u32) {
        let mut sizes: Vec<u64> = self.lists.borrow().values().map(|used| used.bytes).collect();
        sizes.sort_unstable();
        let fixed = total.saturating_sub(sizes.iter().sum());
        // A row that is begun is ended, and names that a row no longer pays for are paid for by another.
        let mut room = BYTES.saturating_sub(fixed) / 16 * u64::from(16 - attempt.min(15));
        let mut level = 0;
        for (at, size) in sizes.iter().enumerate() {
            let share = room / (sizes.len() - at) as u64;
            level = share;
            if *size > share {
                break;
            }
            room -= size;
            level = u64::MAX;
        }
        self.level.set(Some(level.min(BYTES)));
    }
}

/// Keeps what is written while it is no longer than a document, and counts all of it.
pub struct Bounded<'q> {
    /// What was written.
    pub bytes: Vec<u8>,
    quotas: &'q Quotas,
}

impl<'q> Bounded<'q> {
    /// Nothing yet.
    pub fn new(quotas: &'q Quotas) -> Self {
        Self { bytes: Vec::new(), quotas }
    }

    /// All bytes that were written.
    pub fn total(&self) -> u64 {
        self.quotas.written.get()
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.quotas.written.set(self.total() + buffer.len() as u64);
        if self.total() <= BYTES {
            self.bytes.extend_from_slice(buffer);
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_lists_share_what_the_small_ones_leave() {
        let quotas = Quotas::default();
        let list = |name, bytes| {
            let open = quotas.open(name);
            quotas.owe(bytes);
            quotas.close(&open, 1);
        };
        for (name, megabytes) in [("a", 1), ("b", 30), ("c", 18), ("d", 2)] {
            list(name, megabytes * 1_000_000);
        }
        quotas.shrink(52_000_000, 0);
        // 1 is fixed, 3 are small lists: 16 are left for two.
        assert_eq!(quotas.level.get(), Some(8_000_000));
        quotas.shrink(52_000_000, 8);
        assert_eq!(quotas.level.get(), Some(3_250_000));
        assert_eq!(quotas.left_out(), 4);
    }
}
