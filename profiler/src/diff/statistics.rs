//! Whether two series differ, and how large a difference would have been seen.
//!
//! In: one value for each slice of both sides. Out: a probability and a floor. Each second of a steady load
//! depends on those before it. So the test is on means of five batches (Welch's t), and a difference must
//! also exceed twice the range of the quarters of one side. Tried on recordings of steady loads: permuting
//! seconds gave false alarms in a quarter of pairs, this rule in none of 24 (docs/decisions.md).

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Batches of each side.
pub const BATCHES: usize = 5;
/// Pieces of a side whose range is its drift.
const PIECES: usize = 4;
/// Slices with a value that a side needs.
pub const LEAST: usize = 2 * BATCHES;
/// Probability of any false alarm among all comparisons.
pub const ALPHA: f64 = 0.05;
/// Quantile of the normal distribution: a difference at the floor is seen in four of five recordings.
const POWER: f64 = 0.84;
/// Standard deviations that a number of events must differ by, whatever the slices say.
const CHANCE: f64 = 4.0;

/// What two series say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// After less before, in the unit of the values.
    pub difference: f64,
    /// Probability of such a difference, or a larger one, by chance.
    pub probability: f64,
    /// Twice the larger drift inside of either side.
    pub drift: f64,
    /// Standard error of the difference.
    error: f64,
    /// Degrees of freedom.
    freedom: f64,
}

impl Test {
    /// Of two series; none if one has too few values.
    pub fn of(before: &[f64], after: &[f64]) -> Option<Self> {
        let (a, b) = (means(before, BATCHES)?, means(after, BATCHES)?);
        let ((mean_a, error_a), (mean_b, error_b)) = (moments(&a), moments(&b));
        let error = error_a + error_b;
        let per_side = (BATCHES - 1) as f64;
        let freedom = if error > 0.0 {
            (error * error * per_side / (error_a * error_a + error_b * error_b))
                .clamp(per_side, 2.0 * per_side)
        } else {
            2.0 * per_side
        };
        let drift = 2.0 * range(&means(before, PIECES)?).max(range(&means(after, PIECES)?));
        let (difference, error) = (mean_b - mean_a, error.sqrt());
        // A capture may hold absurd values, whose sums are no numbers any more.
        if ![difference, error, drift, freedom].iter().all(|value| value.is_finite()) {
            return None;
        }
        Some(Self { difference, probability: probability(difference, error, freedom), drift, error, freedom })
    }

    /// The smallest difference that would have been seen among `comparisons`, in the unit of the values.
    pub fn floor(&self, comparisons: usize) -> f64 {
        let tail = ALPHA / 2.0 / comparisons.max(1) as f64;
        let critical = distribution(self.freedom).map_or(f64::INFINITY, |own| own.inverse_cdf(1.0 - tail));
        self.drift.max((critical + POWER) * self.error)
    }

    /// Whether it exceeds what a side differs from itself by.
    pub fn exceeds_drift(&self) -> bool {
        self.difference.abs() > self.drift
    }
}

/// Which of these probabilities count, the chance of any false one being [`ALPHA`] (Holm's procedure).
pub fn significant(probabilities: &[f64]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut found = vec![false; probabilities.len()];
    for (place, at) in order.iter().enumerate() {
        if probabilities[*at] > ALPHA / (probabilities.len() - place) as f64 {
            break;
        }
        found[*at] = true;
    }
    found
}

/// What events that come by chance may differ by, as a rate: `(events, seconds)` of both sides.
pub fn chance((before, before_s): (u64, f64), (after, after_s): (u64, f64)) -> f64 {
    // One more on each side: none seen is no proof that there never are any.
    let variance =
        |events: u64, seconds: f64| (events as f64 + 1.0) / (seconds * seconds).max(f64::MIN_POSITIVE);
    CHANCE * (variance(before, before_s) + variance(after, after_s)).sqrt()
}

/// Means of so many batches of equal length; none if there are too few values.
fn means(values: &[f64], batches: usize) -> Option<Vec<f64>> {
    if values.len() < LEAST || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let edge = |batch: usize| batch * values.len() / batches;
    let mean = |batch: usize| {
        let part = &values[edge(batch)..edge(batch + 1)];
        part.iter().sum::<f64>() / part.len() as f64
    };
    Some((0..batches).map(mean).collect())
}

/// Mean, and the square of its standard error.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (mean, squares / (count - 1.0) / count)
}

fn range(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    most - least
}

fn probability(difference: f64, error: f64, freedom: f64) -> f64 {
    if difference == 0.0 {
        return 1.0;
    }
    if error == 0.0 {
        return 0.0;
    }
    distribution(freedom).map_or(1.0, |own| 2.0 * own.cdf(-(difference / error).abs()))
}

fn distribution(freedom: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, freedom).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_tables() {
        // Two-sided 5 % points of Student's t.
        for (freedom, point) in [(4.0, 2.776), (8.0, 2.306)] {
            assert!((probability(point, 1.0, freedom) - 0.05).abs() < 1e-3);
        }
        let test = Test { difference: 0.0, probability: 1.0, drift: 0.0, error: 1.0, freedom: 8.0 };
        assert!((test.floor(1) - 2.306 - POWER).abs() < 1e-3);
        assert!(test.floor(100) > test.floor(1));
    }

    #[test]
    fn equal_series_do_not_differ_and_shifted_ones_do() {
        let noise = |at: usize| (at * 7_919 % 13) as f64 / 100.0;
        let before: Vec<f64> = (0..60).map(noise).collect();
        let after: Vec<f64> = (60..120).map(|at| noise(at) + 0.5).collect();
        let same = Test::of(&before, &before).unwrap();
        assert_eq!((same.difference, same.probability), (0.0, 1.0));
        let moved = Test::of(&before, &after).unwrap();
        assert!(moved.probability < 1e-6 && moved.exceeds_drift(), "{moved:?}");
        assert!(moved.floor(50) < 0.5 && moved.floor(50) > 0.0, "{}", moved.floor(50));
    }

    #[test]
    fn a_drift_inside_of_one_side_is_no_difference() {
        let before: Vec<f64> = (0..60).map(f64::from).collect();
        let after: Vec<f64> = (0..60).map(|at| f64::from(at) + 50.0).collect();
        let test = Test::of(&before, &after).unwrap();
        assert!(!test.exceeds_drift(), "{test:?}");
        assert!(test.floor(1) >= test.drift);
    }

    #[test]
    fn too_few_and_absurd_values_say_nothing() {
        assert_eq!(Test::of(&[1.0; LEAST - 1], &[1.0; 60]), None);
        assert_eq!(Test::of(&[f64::NAN; 20], &[1.0; 20]), None);
        assert_eq!(Test::of(&[f64::MAX; 20], &[f64::MIN; 20]), None);
        let far =
            Test::of(&[1e-300; 20], &[1e150; 20]).map(|test| (test.probability, test.floor(3).is_finite()));
        assert_eq!(far, Some((0.0, true)));
    }

    #[test]
    fn holm_takes_the_smallest_first() {
        assert_eq!(significant(&[0.04, 0.001, 0.03]), [false, true, false]);
        assert_eq!(significant(&[0.01, 0.02, 0.001]), [true, true, true]);
        assert_eq!(significant(&[]), Vec::<bool>::new());
    }
}
