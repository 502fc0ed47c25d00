//! A sparse latency histogram over the shared buckets.
//!
//! In: octave rows from the kernel. Out: counts, total, max, percentiles in ns.

use std::collections::BTreeMap;

use profiler_common::histogram::{SLOTS, octave, range_ns, slot};
use serde::{Deserialize, Serialize};

/// Latencies: counts per bucket, with exact total and max.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Bucket (octave × 8 + slot) → events.
    buckets: BTreeMap<u16, u64>,
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
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
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

    /// Non-empty buckets in order: (low ns, high ns exclusive, events).
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.buckets.iter().map(|(&bucket, &events)| {
            let (low, high) = Self::range_of(bucket);
            (low, high, events)
        })
    }

    fn range_of(bucket: u16) -> (u64, u64) {
        // A capture may be hostile: an octave past the last would shift out of range.
        let octave = (bucket / SLOTS as u16).min(u16::from(profiler_common::histogram::OCTAVES) - 1);
        range_ns(octave as u8, usize::from(bucket) % SLOTS)
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
    fn empty_has_no_percentile() {
        assert_eq!(Histogram::default().percentile_ns(500), 0);
    }
}
