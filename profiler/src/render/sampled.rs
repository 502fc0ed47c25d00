//! How certain a share is that rests on samples.
//!
//! In: how many of how many samples. Out: the interval that holds the true share in 95 of 100 recordings (Wilson's),
//! and whether it is certain enough for a sentence; `docs/decisions.md` has the reasons.

/// The square of what 95 % of a normal distribution lie within.
const Z2: f64 = 1.96 * 1.96;
/// Samples that show what is claimed, at least.
const LEAST: u64 = 10;

/// Bounds of a share, 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// It is hardly less.
    pub low: f64,
    /// It is hardly more.
    pub high: f64,
}

impl Interval {
    /// Of `part` samples out of `all`.
    pub fn of(part: u64, all: u64) -> Self {
        let (n, share) = (all.max(1) as f64, part.min(all) as f64 / all.max(1) as f64);
        let middle = share + Z2 / (2.0 * n);
        let half = (Z2 * (share * (1.0 - share) / n + Z2 / (4.0 * n * n))).sqrt();
        let whole = 1.0 + Z2 / n;
        Self { low: ((middle - half) / whole).max(0.0), high: ((middle + half) / whole).min(1.0) }
    }

    /// `88 to 93 %`.
    pub fn text(self) -> String {
        format!("{:.0} to {:.0} %", (self.low * 100.0).floor(), (self.high * 100.0).ceil())
    }
}

/// The interval of a share, if a sentence may rest on it: enough samples show it, and it is surely more than half.
pub fn carries(part: u64, all: u64) -> Option<Interval> {
    Some(Interval::of(part, all)).filter(|interval| part >= LEAST && interval.low > 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        // Wilson 1927, as the R function prop.test(correct = FALSE) gives them.
        for (part, all, low, high) in [(15, 20, 0.5313, 0.8881), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)]
        {
            let interval = Interval::of(part, all);
            assert!((interval.low - low).abs() < 1e-4 && (interval.high - high).abs() < 1e-4, "{interval:?}");
        }
        assert_eq!(Interval::of(15, 20).text(), "53 to 89 %");
        assert!(Interval::of(9, 0).high <= 1.0, "a hostile capture");
    }

    #[test]
    fn one_sample_of_many_calls_carries_nothing() {
        assert_eq!(carries(1, 93_425), None);
        assert_eq!(carries(9, 9), None, "too few, however sure");
        assert_eq!(carries(10, 19), None, "more than half, not surely");
        assert!(carries(10, 10).is_some() && carries(600, 1_000).is_some());
    }
}
