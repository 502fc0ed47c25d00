//! Sums of waits for tables and sentences.
//!
//! In: sums by a key, such as a place or a waker. Out: added sums, and the heaviest of them in words.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::profile::Histogram;
use crate::render::humane;

/// `60 % redis[99], 20 % web/api[812]`: the heaviest of these, so `many` at most, each behind its share, which no cut
/// takes away; empty without any.
pub fn heaviest<K: Copy>(
    sums: impl IntoIterator<Item = (K, u64)>,
    (whole, many): (u64, usize),
    name: impl Fn(K) -> String,
) -> String {
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, ns)| *ns > 0).collect();
    sums.sort_by_key(|(_, ns)| Reverse(*ns));
    let one = |(key, ns): &(K, u64)| format!("{} {}", humane::part(*ns, whole), name(*key));
    sums.iter().take(many).map(one).collect::<Vec<_>>().join(", ")
}

/// Adds to one of several sums.
pub fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, key: K, ns: u64) {
    let sum = sums.entry(key).or_default();
    *sum = sum.saturating_add(ns);
}

pub fn sum<'h>(histograms: impl Iterator<Item = &'h Histogram>) -> Histogram {
    let mut sum = Histogram::default();
    histograms.for_each(|histogram| sum.merge(histogram));
    sum
}

pub fn merged<'m, K: Ord + Copy + 'm>(maps: impl Iterator<Item = &'m BTreeMap<K, u64>>) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    maps.flatten().for_each(|(key, ns)| add(&mut sums, *key, *ns));
    sums
}

/// A duration; nothing for none.
pub fn unless_zero(ns: u64) -> String {
    if ns == 0 { String::new() } else { humane::duration(ns) }
}
