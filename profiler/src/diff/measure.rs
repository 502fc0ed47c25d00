//! The quantities of a subject in a stretch of time.
//!
//! In: amounts. Out: the usual time of an event, quantiles that do not jump at the edges of buckets, rates.

use super::subject::Amount;
use crate::profile::Histogram;

/// A quantity that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Mean time of the events that are not far above the median: preemption and rare slow paths do not hide a change in it.
    Usual,
    /// Mean time of all events.
    Mean,
    /// Half of the events took no longer.
    P50,
    /// 99 of 100 took no longer.
    P99,
    /// Events a second.
    Rate,
    /// Events of at least the slow-call threshold, a second.
    SlowRate,
    /// Time in events, ns a second.
    Time,
}

impl Quantity {
    /// All of them by the name that a condition uses.
    pub const NAMED: [(&'static str, Self); 7] = [
        ("usual", Self::Usual),
        ("mean", Self::Mean),
        ("p50", Self::P50),
        ("p99", Self::P99),
        ("rate", Self::Rate),
        ("slow", Self::SlowRate),
        ("time", Self::Time),
    ];

    /// Whether it is a time per event, which is compared by ratio; the others are amounts a second.
    pub const fn is_time_of_event(self) -> bool {
        matches!(self, Self::Usual | Self::Mean | Self::P50 | Self::P99)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }
}

/// What an amount is measured by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scale {
    /// The last octave of what is usual: the same for both sides.
    pub last_octave: u8,
    /// The slow-call threshold, ns.
    pub slow_ns: u64,
}

impl Scale {
    /// Of a subject on both sides.
    pub fn new(before: &Histogram, after: &Histogram, slow_ns: u64) -> Self {
        let median = before.median_octave().max(after.median_octave());
        Self { last_octave: median.map_or(0, |octave| octave.saturating_add(1)), slow_ns }
    }
}

/// The value of a quantity; none where there is no event to take a time of, or no time at all.
pub fn value(quantity: Quantity, amount: &Amount, seconds: f64, scale: Scale) -> Option<f64> {
    let times = &amount.times;
    match quantity {
        Quantity::Usual => {
            let (events, ns) = times.up_to_octave(scale.last_octave);
            (events > 0).then(|| ns as f64 / events as f64)
        }
        Quantity::Mean => (amount.events > 0).then(|| times.total_ns as f64 / amount.events as f64),
        Quantity::P50 => quantile(times, 0.5),
        Quantity::P99 => quantile(times, 0.99),
        Quantity::Rate => (seconds > 0.0).then(|| amount.events as f64 / seconds),
        Quantity::SlowRate => (seconds > 0.0).then(|| slow(times, scale.slow_ns) as f64 / seconds),
        Quantity::Time => (seconds > 0.0).then(|| times.total_ns as f64 / seconds),
    }
}

/// Events behind a quantity: how much chance there is in it.
pub fn events(quantity: Quantity, amount: &Amount, scale: Scale) -> u64 {
    match quantity {
        Quantity::SlowRate => slow(&amount.times, scale.slow_ns),
        _ => amount.events,
    }
}

/// Events of buckets that begin at the threshold or above.
fn slow(times: &Histogram, slow_ns: u64) -> u64 {
    times
        .buckets()
        .filter(|(low, ..)| *low >= slow_ns.max(1))
        .fold(0, |sum, (.., events)| sum.saturating_add(events))
}

/// A quantile, ns; inside of a bucket in proportion to the events below.
fn quantile(times: &Histogram, share: f64) -> Option<f64> {
    let rank = times.count() as f64 * share;
    let mut below = 0.0;
    let mut last = None;
    for (low, high, events) in times.buckets().filter(|(.., events)| *events > 0) {
        let high = high.min(times.max_ns.saturating_add(1)).max(low);
        let inside = ((rank - below) / events as f64).clamp(0.0, 1.0);
        last = Some(low as f64 + (high - low) as f64 * inside);
        below += events as f64;
        if below >= rank {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(times: &[u64]) -> Amount {
        let mut histogram = Histogram::default();
        times.iter().for_each(|ns| histogram.record(*ns));
        Amount { events: histogram.count(), times: histogram }
    }

    #[test]
    fn what_is_usual_does_not_follow_the_slowest() {
        let plain: Vec<u64> = vec![1_000; 99];
        let with_one: Vec<u64> = plain.iter().copied().chain([80_000_000]).collect();
        let (a, b) = (amount(&plain), amount(&with_one));
        let scale = Scale::new(&a.times, &b.times, 10_000_000);
        assert_eq!(value(Quantity::Usual, &a, 1.0, scale), Some(1_000.0));
        assert_eq!(value(Quantity::Usual, &b, 1.0, scale), Some(1_000.0));
        assert!(value(Quantity::Mean, &b, 1.0, scale).unwrap() > 800_000.0);
        assert_eq!(value(Quantity::SlowRate, &b, 2.0, scale), Some(0.5));
        assert_eq!(value(Quantity::Rate, &b, 2.0, scale), Some(50.0));
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let amount = amount(&(1..=1000).map(|at| at * 1000).collect::<Vec<_>>());
        let scale = Scale::default();
        for (quantity, truth) in [(Quantity::P50, 500_000.0), (Quantity::P99, 990_000.0)] {
            let found: f64 = value(quantity, &amount, 1.0, scale).unwrap();
            assert!((found / truth - 1.0).abs() < 0.02, "{found} for {truth}");
        }
        assert_eq!(value(Quantity::P99, &Amount::default(), 1.0, scale), None);
    }
}
