//! A sparse latency histogram over the shared buckets.
//!
//! In: octave rows from the kernel. Out: counts, total, max, percentiles in ns.

use std::collections::BTreeMap;

use profiler_common::histogram::{SLOTS, octave, range_ns, slot};
use serde::{Deserialize, Serialize};

use super::row_set::ENTRY;

/// Latencies: counts per bucket, with exact total and max.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Bucket (octave × 8 + slot) → events.
    buckets: BTreeMap<u16, u64>,
    /// Octave → sum of its events, ns: what buckets alone would hide of a small change. Empty in older captures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    octaves: BTreeMap<u8, u64>,
    /// Sum, ns.
    pub total_ns: u64,
    /// Longest, ns.
    pub max_ns: u64,
}

impl Histogram {
    /// Adds one octave of counts with its sum and maximum.
    pub fn add_octave(&mut self, octave: u8, slots: &[u32; SLOTS], total_ns: u64, max_ns: u64) {
        for (slot, &count) in slots.iter().enumerate().filter(|(_, count)| **count > 0) {
            let bucket = u16::from(octave) * SLOTS as u16 + slot as u16;
            *self.buckets.entry(bucket).or_default() += u64::from(count);
        }
        if total_ns > 0 {
            let sum = self.octaves.entry(octave).or_default();
            *sum = sum.saturating_add(total_ns);
        }
        self.total_ns = self.total_ns.saturating_add(total_ns);
        self.max_ns = self.max_ns.max(max_ns);
    }

    /// Adds one latency.
    pub fn record(&mut self, ns: u64) {
        let mut slots = [0; SLOTS];
        slots[slot(ns)] = 1;
        self.add_octave(octave(ns), &slots, ns, ns);
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (&bucket, &count) in &other.buckets {
            let entry = self.buckets.entry(bucket).or_default();
            *entry = entry.saturating_add(count);
        }
        for (&octave, &ns) in &other.octaves {
            let sum = self.octaves.entry(octave).or_default();
            *sum = sum.saturating_add(ns);
        }
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Memory it takes, bytes.
    pub fn weigh(&self) -> u64 {
        (self.buckets.len() + self.octaves.len()) as u64 * 24 + ENTRY
    }

    /// Events in all buckets.
    pub fn count(&self) -> u64 {
        self.buckets.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The latency that `permille` of the events do not exceed, ns: the upper edge of its
    /// bucket, never above the exact maximum. 0 when empty.
    pub fn percentile_ns(&self, permille: u64) -> u64 {
        let count = self.count();
        let rank = (u128::from(count) * u128::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0u128;
        for (&bucket, &events) in &self.buckets {
            seen += u128::from(events);
            if seen >= rank {
                return Self::range_of(bucket).1.saturating_sub(1).min(self.max_ns);
            }
        }
        0
    }

    /// The octave that the median lies in; none when empty.
    pub fn median_octave(&self) -> Option<u8> {
        let count = self.count();
        let mut seen = 0u64;
        let mut buckets = self.buckets.iter().filter(|(_, events)| **events > 0);
        let middle = buckets.find(|(_, events)| {
            seen = seen.saturating_add(**events);
            seen >= count.div_ceil(2)
        });
        middle.map(|(bucket, _)| Self::octave_of(*bucket))
    }

    /// Events in octaves up to `last`, and their sum, ns: exact, but in older captures a sum over the middles of buckets.
    pub fn up_to_octave(&self, last: u8) -> (u64, u128) {
        let mut sums = (0u64, 0u128);
        for (&bucket, &events) in self.buckets.iter().filter(|(bucket, _)| Self::octave_of(**bucket) <= last)
        {
            let (low, high) = Self::range_of(bucket);
            sums.0 = sums.0.saturating_add(events);
            sums.1 += u128::from(events) * u128::from(low.saturating_add(high) / 2);
        }
        if !self.octaves.is_empty() {
            sums.1 = self.octaves.range(..=last).map(|(_, ns)| u128::from(*ns)).sum();
        }
        sums
    }

    fn octave_of(bucket: u16) -> u8 {
        (bucket / SLOTS as u16).min(u16::from(profiler_common::histogram::OCTAVES) - 1) as u8
    }

    /// Non-empty buckets in order: (low ns, high ns exclusive, events).
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.buckets.iter().map(|(&bucket, &events)| {
            let (low, high) = Self::range_of(bucket);
            (low, high, events)
        })
    }

    fn range_of(bucket: u16) -> (u64, u64) {
        // A capture may be hostile: an octave past the last would shift out of range.
        range_ns(Self::octave_of(bucket), usize::from(bucket) % SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_one_bucket_of_the_truth() {
        let mut histogram = Histogram::default();
        for ns in 1..=1000u64 {
            histogram.record(ns * 1000);
        }
        assert_eq!(histogram.count(), 1000);
        assert_eq!(histogram.max_ns, 1_000_000);
        for permille in [1u64, 500, 990, 1000] {
            let truth = permille * 1000;
            let found = histogram.percentile_ns(permille);
            assert!(found >= truth && found <= truth * 9 / 8, "{permille}: {found} for {truth}");
        }
    }

    #[test]
    fn a_change_inside_of_a_bucket_is_in_the_sums_of_octaves() {
        let of = |ns: u64| {
            let mut histogram = Histogram::default();
            (0..100).for_each(|_| histogram.record(ns));
            histogram.record(50_000_000);
            histogram
        };
        let (before, after) = (of(4_200), of(4_500));
        assert_eq!(before.percentile_ns(500), after.percentile_ns(500), "the buckets say the same");
        let last = before.median_octave().unwrap() + 1;
        assert_eq!((before.up_to_octave(last), after.up_to_octave(last)), ((100, 420_000), (100, 450_000)));
        let old: Histogram =
            serde_json::from_str(r#"{"buckets":{"0":4,"80":2},"total_ns":9,"max_ns":5}"#).unwrap();
        assert_eq!((old.median_octave(), old.up_to_octave(0)), (Some(0), (4, 0)));
        assert_eq!(Histogram::default().median_octave(), None);
    }

    #[test]
    fn empty_has_no_percentile() {
        assert_eq!(Histogram::default().percentile_ns(500), 0);
    }
}
