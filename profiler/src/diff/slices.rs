//! The slices of a side: its time axis, in a bounded number of pieces.
//!
//! In: what subjects did in each interval. Out: their amounts in each slice, and the recorded time of each.

use super::subject::{Amount, Subject, counter};
use crate::profile::Counters;

/// Slices at most: longer recordings have longer ones.
const SLICES: usize = 120;

/// Amounts by slice and row.
#[derive(Debug, Default)]
pub struct Slices {
    begin_ns: u64,
    width_ns: u64,
    /// Recorded time of each slice, s.
    seconds: Vec<f64>,
    /// By row, then by slice.
    amounts: Vec<Vec<Amount>>,
}

impl Slices {
    /// Of so many intervals between begin and end.
    pub fn new((begin_ns, end_ns): (u64, u64), intervals: usize) -> Self {
        let slices = intervals.clamp(1, SLICES);
        let width_ns = end_ns.saturating_sub(begin_ns).div_ceil(slices as u64).max(1);
        Self { begin_ns, width_ns, seconds: vec![0.0; slices], amounts: Vec::new() }
    }

    /// Makes room for so many rows.
    pub fn begin(&mut self, rows: usize) {
        self.seconds.fill(0.0);
        self.amounts = vec![vec![Amount::default(); self.seconds.len()]; rows];
    }

    /// Adds recorded time; gives the slice it belongs to, by its middle.
    pub fn enter(&mut self, start_ns: u64, end_ns: u64) -> Option<usize> {
        let length = end_ns.saturating_sub(start_ns);
        let middle = start_ns.saturating_add(length / 2).saturating_sub(self.begin_ns);
        let at = ((middle / self.width_ns.max(1)) as usize).min(self.seconds.len().saturating_sub(1));
        *self.seconds.get_mut(at)? += length as f64 / 1e9;
        Some(at)
    }

    /// Adds what a row did in a slice.
    pub fn add(&mut self, at: usize, row: usize, amount: &Amount) {
        if let Some(own) = self.amounts.get_mut(row).and_then(|slices| slices.get_mut(at)) {
            own.add(amount);
        }
    }

    /// The slices of several rows together, with their recorded time, s; those without any are left out.
    pub fn of(&self, rows: &[usize]) -> Vec<(Amount, f64)> {
        let mut slices = Vec::new();
        for (at, seconds) in self.seconds.iter().enumerate().filter(|(_, seconds)| **seconds > 0.0) {
            let mut sum = Amount::default();
            for row in rows {
                if let Some(amount) = self.amounts.get(*row).and_then(|slices| slices.get(at)) {
                    sum.add(amount);
                }
            }
            slices.push((sum, *seconds));
        }
        slices
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.seconds.len()
    }
}

/// Counters, which captures hold as values.
#[derive(Debug, Default)]
pub struct Counting {
    last: Counters,
}

impl Counting {
    /// Their values at the start.
    pub fn start(&mut self, values: &Counters) {
        self.last.clone_from(values);
    }

    /// How far each went since the interval before.
    pub fn steps(&mut self, values: &Counters) -> Vec<(Subject, u64)> {
        let mut steps = Vec::new();
        for (name, value) in values {
            if let Some(before) = self.last.insert(name.clone(), *value) {
                steps.push((counter(name), value.saturating_sub(before)));
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_recording_has_no_more_slices_and_loses_nothing() {
        let mut slices = Slices::new((0, 1_000_000_000_000), 1_000);
        slices.begin(1);
        for second in 0..1_000u64 {
            let at = slices.enter(second * 1_000_000_000, (second + 1) * 1_000_000_000).unwrap();
            slices.add(at, 0, &Amount { events: 3, ..Amount::default() });
        }
        let found = slices.of(&[0]);
        assert_eq!(found.len(), SLICES);
        assert_eq!(found.iter().map(|(amount, _)| amount.events).sum::<u64>(), 3_000);
        assert_eq!(found.iter().map(|(_, seconds)| seconds).sum::<f64>().round(), 1_000.0);
    }

    #[test]
    fn times_from_nowhere_stay_inside() {
        let mut slices = Slices::new((u64::MAX, 0), 0);
        slices.begin(1);
        assert_eq!(slices.enter(u64::MAX, 5), Some(0));
        slices.add(7, 9, &Amount::default());
        assert_eq!(Slices::default().enter(1, 2), None);
    }
}
