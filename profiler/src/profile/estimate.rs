//! What the kernel-side programs cost over the whole recording, from windows in which they were timed.
//!
//! In: of each window its length, the time that programs ran, and how many events of the target fell into it; how many
//! there were in the whole recording. Out: an estimate with its interval. The cost of a window is `a × length + b × events`:
//! what passes by outside of the target, and what the target's own events cost. Both are fitted to the windows by least
//! squares (weighted by 1 / length, since noise grows with it), so a burst that fell between the windows is counted.

use serde::{Deserialize, Serialize};

/// Windows kept: with one more, neighbours become one.
const KEPT: usize = 256;
/// Windows that a fit of two numbers and its interval need.
const LEAST: usize = 3;

/// Student's t for 95 %, two-sided, by degrees of freedom from 1 on; further ones are next to the last.
const T95: [f64; 10] = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];

/// What was timed in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedWindow {
    /// Its length, ns.
    pub length_ns: u64,
    /// Time that programs ran, on all CPUs, ns.
    pub run_ns: u64,
    /// Events of the target in it.
    pub events: u64,
}

impl TimedWindow {
    fn and(&self, other: &Self) -> Self {
        Self {
            length_ns: self.length_ns.saturating_add(other.length_ns),
            run_ns: self.run_ns.saturating_add(other.run_ns),
            events: self.events.saturating_add(other.events),
        }
    }
}

/// Adds a window; memory is bounded.
pub fn keep(windows: &mut Vec<TimedWindow>, window: TimedWindow) {
    windows.push(window);
    if windows.len() > KEPT {
        *windows = windows
            .chunks(2)
            .map(|pair| pair.iter().fold(TimedWindow::default(), |sum, one| sum.and(one)))
            .collect();
    }
}

/// What programs took in the whole recording: of their time, ns, or of the machine, a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its 95 % interval; none where there are too few windows to tell.
    pub interval: Option<(f64, f64)>,
}

/// The estimate for a recording of this length with so many events of the target; nothing without a window.
pub fn of(windows: &[TimedWindow], duration_ns: u64, events: u64) -> Option<Estimate> {
    let windows: Vec<_> = windows.iter().filter(|window| window.length_ns > 0).map(Sample::of).collect();
    let sum = |of: fn(&Sample) -> f64| windows.iter().map(of).sum::<f64>();
    let (length, ran, own) = (sum(|one| one.length), sum(|one| one.ran), sum(|one| one.events));
    if windows.is_empty() {
        return None;
    }
    let whole = Sample { length: duration_ns as f64, ran: 0.0, events: events as f64 };
    let squares = sum(|one| one.events * one.events / one.length);
    let products = sum(|one| one.events * one.ran / one.length);
    let determinant = length * squares - own * own;
    // Where every window had as many events for its length, the two cannot be told apart, and need not be.
    let tells = windows.len() >= LEAST && determinant > 1e-6 * length * squares;
    let by_events = || if own > 0.0 { (0.0, ran / own) } else { (ran / length, 0.0) };
    let (a, b) = match tells {
        true => {
            ((ran * squares - own * products) / determinant, (length * products - own * ran) / determinant)
        }
        false if windows.len() >= LEAST => by_events(),
        false => (ran / length, 0.0),
    };
    // Neither costs less than nothing.
    let (a, b) = match (a < 0.0, b < 0.0) {
        (true, _) if squares > 0.0 => (0.0, products / squares),
        (_, true) => (ran / length, 0.0),
        _ => (a, b),
    };
    let value = (a * whole.length + b * whole.events).max(ran);
    let interval = (windows.len() >= LEAST).then(|| {
        let residual = |one: &Sample| one.ran - a * one.length - b * one.events;
        let noise = windows.iter().map(|one| residual(one) * residual(one) / one.length).sum::<f64>();
        let freedom = windows.len() - 2;
        let noise = noise / freedom as f64;
        let (x, y) = (whole.length, whole.events);
        let of_fit = match tells {
            true => (x * x * squares - 2.0 * x * y * own + y * y * length) / determinant,
            false => x * x / length,
        };
        let untimed = (x - length).max(0.0);
        let half = T95[freedom.min(T95.len()) - 1] * (noise * (of_fit + untimed)).max(0.0).sqrt();
        ((value - half).max(ran), value + half)
    });
    Some(Estimate { value, interval })
}

/// A window in numbers that can be multiplied.
struct Sample {
    length: f64,
    ran: f64,
    events: f64,
}

impl Sample {
    fn of(window: &TimedWindow) -> Self {
        Self { length: window.length_ns as f64, ran: window.run_ns as f64, events: window.events as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Windows of 50 ms in which 10 µs a ms pass by and each event costs 300 ns, off by so many ns.
    fn windows(events: &[u64], off: &[i64]) -> Vec<TimedWindow> {
        let one = |(at, events): (usize, &u64)| TimedWindow {
            length_ns: 50 * MS,
            run_ns: (500_000 + 300 * events).saturating_add_signed(off.get(at).copied().unwrap_or(0)),
            events: *events,
        };
        events.iter().enumerate().map(one).collect()
    }

    #[test]
    fn a_burst_between_the_windows_is_counted_by_its_events() {
        // Ten seconds, a million events, of which the windows saw some hundred: 100 ms pass by and 300 ms of its own.
        let windows = windows(&[10, 60, 20, 40, 90], &[]);
        let told = of(&windows, 10_000 * MS, 1_000_000).unwrap();
        assert!((told.value / 400e6 - 1.0).abs() < 1e-6, "{told:?}");
        // The share of the windows alone is what was told before: a quarter.
        let plain = windows.iter().map(|window| window.run_ns).sum::<u64>() as f64 / 250e6 * 10_000e6;
        assert!(plain < 110e6, "{plain}");
    }

    #[test]
    fn the_interval_holds_the_truth_and_grows_with_what_is_not_known() {
        let off = [9_000, -4_000, -11_000, 2_000, 5_000, -1_000];
        let quiet = windows(&[10, 60, 20, 40, 90, 50], &off);
        let busy = windows(&[5_000, 60_000, 20_000, 40_000, 90_000, 50_000], &off);
        let width = |windows: &[TimedWindow]| {
            let told = of(windows, 10_000 * MS, 1_000_000).unwrap();
            let (low, high) = told.interval.unwrap();
            assert!(low <= 400e6 && 400e6 <= high && low <= told.value && told.value <= high, "{told:?}");
            high - low
        };
        assert!(width(&quiet) > 10.0 * width(&busy), "{} {}", width(&quiet), width(&busy));
    }

    #[test]
    fn what_cannot_be_fitted_is_told_without_an_interval_or_by_length() {
        assert_eq!(of(&[], MS, 5), None);
        let one = of(&windows(&[100], &[]), 10_000 * MS, 1_000_000).unwrap();
        assert!(one.interval.is_none() && (one.value / 106e6 - 1.0).abs() < 1e-6, "{one:?}");
        // As many events in each window: their share holds for all.
        let steady = of(&windows(&[100; 6], &[]), 10_000 * MS, 20_000).unwrap();
        assert!((steady.value / 106e6 - 1.0).abs() < 1e-6, "{steady:?}");
        let none = of(&windows(&[0; 4], &[]), 10_000 * MS, 0).unwrap();
        assert!((none.value / 100e6 - 1.0).abs() < 1e-6, "{none:?}");
        for absurd in [u64::MAX, 0, 1] {
            let windows = [TimedWindow { length_ns: absurd, run_ns: absurd, events: absurd }; 5];
            let told = of(&windows, absurd, absurd);
            assert!(told.is_none_or(|told| told.value.is_finite()), "{told:?}");
        }
    }

    #[test]
    fn kept_windows_are_bounded_and_lose_nothing() {
        let mut kept = Vec::new();
        for _ in 0..10_000 {
            keep(&mut kept, TimedWindow { length_ns: 3, run_ns: 2, events: 1 });
        }
        assert!(kept.len() <= KEPT);
        let sum = kept.iter().fold(TimedWindow::default(), |sum, one| sum.and(one));
        assert_eq!(sum, TimedWindow { length_ns: 30_000, run_ns: 20_000, events: 10_000 });
    }
}
