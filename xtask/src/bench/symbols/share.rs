//! In: parts and wholes of stacks by their samples. Out: the share in per cent, with a 95 % interval that
//! includes the spread from stack to stack, and does not shrink to a point at 0 or 100 %.

/// 95 % of a normal distribution.
const Z: f64 = 1.96;

/// A share in per cent with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Sums over samples: each has a part of a whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    samples: f64,
    part: f64,
    whole: f64,
    part_squared: f64,
    whole_squared: f64,
    product: f64,
}

impl Sums {
    /// So many samples of one stack.
    pub fn add(&mut self, part: u64, whole: u64, samples: u64) {
        let (part, whole, samples) = (part as f64, whole as f64, samples as f64);
        self.samples += samples;
        self.part += samples * part;
        self.whole += samples * whole;
        self.part_squared += samples * part * part;
        self.whole_squared += samples * whole * whole;
        self.product += samples * part * whole;
    }

    pub fn samples(&self) -> u64 {
        self.samples as u64
    }

    /// Parts of one sample, in the mean.
    pub fn mean_part(&self) -> f64 {
        self.part / self.samples.max(1.0)
    }

    /// The ratio of the sums. Its variance is that of a ratio of means; Wilson's interval is taken for so many independent
    /// trials as have that variance, or one a sample where there is none.
    pub fn share(&self) -> Share {
        if self.whole <= 0.0 {
            return Share { value: f64::NAN, low: f64::NAN, high: f64::NAN };
        }
        let ratio = self.part / self.whole;
        let spread =
            (self.part_squared - 2.0 * ratio * self.product + ratio * ratio * self.whole_squared).max(0.0);
        let variance = spread / (self.whole * self.whole);
        let trials = if variance > 1e-15 { ratio * (1.0 - ratio) / variance } else { self.samples };
        wilson(ratio, trials)
    }
}

fn wilson(ratio: f64, trials: f64) -> Share {
    let scale = 1.0 + Z * Z / trials;
    let middle = (ratio + Z * Z / (2.0 * trials)) / scale;
    let half = Z * (ratio * (1.0 - ratio) / trials + Z * Z / (4.0 * trials * trials)).sqrt() / scale;
    let percent = |part: f64| (100.0 * part).clamp(0.0, 100.0);
    Share { value: percent(ratio), low: percent(middle - half), high: percent(middle + half) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stacks: &[(u64, u64, u64)]) -> Share {
        let mut sums = Sums::default();
        stacks.iter().for_each(|&(part, whole, samples)| sums.add(part, whole, samples));
        sums.share()
    }

    #[test]
    fn a_share_of_ones_has_the_interval_of_wilson() {
        let share = of(&[(1, 1, 50), (0, 1, 50)]);
        assert_eq!(share.value, 50.0);
        assert!((share.low - 40.4).abs() < 0.1 && (share.high - 59.6).abs() < 0.1, "{share:?}");
    }

    #[test]
    fn a_full_share_is_still_not_sure() {
        let share = of(&[(10, 10, 400)]);
        assert_eq!((share.value, share.high), (100.0, 100.0));
        assert!(share.low > 98.9 && share.low < 99.2, "{share:?}");
    }

    #[test]
    fn stacks_that_differ_widen_the_interval() {
        let alike = of(&[(5, 10, 100)]);
        let apart = of(&[(10, 10, 50), (0, 10, 50)]);
        assert_eq!(alike.value, apart.value);
        assert!(apart.high - apart.low > 15.0, "{apart:?}");
    }

    #[test]
    fn nothing_has_no_share() {
        assert!(of(&[]).value.is_nan());
    }
}
