//! The keys that weigh most, of many.
//!
//! In: keys with weights, interval by interval. Out: which of them have a row of their own; a leaf.

use std::collections::BTreeMap;

/// At most `MOST` keys and what each weighs so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foremost<K, const MOST: usize> {
    totals: BTreeMap<K, u64>,
}

/// Where a key's values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row<K> {
    /// Into the key's own row.
    Own,
    /// Into the row of this key, whose values go to the others.
    InsteadOf(K),
    /// To the others.
    Others,
}

impl<K, const MOST: usize> Default for Foremost<K, MOST> {
    fn default() -> Self {
        Self { totals: BTreeMap::new() }
    }
}

impl<K: Ord, const MOST: usize> FromIterator<(K, u64)> for Foremost<K, MOST> {
    fn from_iter<I: IntoIterator<Item = (K, u64)>>(totals: I) -> Self {
        Self { totals: totals.into_iter().take(MOST).collect() }
    }
}

impl<K: Ord + Copy, const MOST: usize> Foremost<K, MOST> {
    /// Says where the values of a key go. `place` is its place in its interval, the heaviest first: so none takes the row of one before
    /// it, and only so many may take one at all, so that a capture with every key there is costs no more.
    pub fn row(&mut self, key: K, weight: u64, place: usize) -> Row<K> {
        let row = self.find(key, weight, place);
        if row != Row::Others {
            let total = self.totals.entry(key).or_default();
            *total = total.saturating_add(weight);
        }
        row
    }

    /// The keys with rows of their own, and what each weighs.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> + '_ {
        self.totals.iter().map(|(key, total)| (*key, *total))
    }

    fn find(&mut self, key: K, weight: u64, place: usize) -> Row<K> {
        if self.totals.contains_key(&key) {
            return Row::Own;
        }
        if place >= MOST {
            return Row::Others;
        }
        if self.totals.len() < MOST {
            return Row::Own;
        }
        let least = self.totals.iter().min_by_key(|(_, total)| **total).map(|(key, total)| (*key, *total));
        let Some((least, _)) = least.filter(|(_, total)| *total < weight) else { return Row::Others };
        self.totals.remove(&least);
        Row::InsteadOf(least)
    }
}
