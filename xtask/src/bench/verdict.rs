//! In: estimates and the bounds they must keep. Out: tables of ratios that say whether they do.

use std::fmt::Write as _;

use super::statistics::{Estimate, Random, estimate};

/// A table of figures beside their bounds.
pub struct Verdicts {
    text: String,
}

impl Verdicts {
    pub fn new(what: &str) -> Self {
        Self { text: format!("| {what} | median | 95 % interval | bound | kept |\n|---|---|---|---|---|\n") }
    }

    /// The median of the rounds must not be above the bound.
    pub fn median(&mut self, what: &str, samples: &[f64], bound: f64, random: &mut Random) {
        let found = estimate(samples, random);
        self.line(what, found, &format!("≤ {bound:.2}"), found.median <= bound);
    }

    /// The upper end of the interval must be below the bound.
    pub fn upper(&mut self, what: &str, samples: &[f64], bound: f64, random: &mut Random) {
        let found = estimate(samples, random);
        self.line(what, found, &format!("interval < {bound:.1}"), found.high < bound);
    }

    /// A figure that no bound was set for.
    pub fn open(&mut self, what: &str, samples: &[f64], random: &mut Random) {
        let Estimate { median, low, high } = estimate(samples, random);
        let _ = writeln!(self.text, "| {what} | {median:.2} | {low:.2} – {high:.2} | | |");
    }

    fn line(&mut self, what: &str, found: Estimate, bound: &str, kept: bool) {
        let kept = if kept { "yes" } else { "**no**" };
        let Estimate { median, low, high } = found;
        let _ = writeln!(self.text, "| {what} | {median:.2} | {low:.2} – {high:.2} | {bound} | {kept} |");
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// Round by round, so that what the machine did in a round is in both.
pub fn ratios(above: &[f64], below: &[f64]) -> Vec<f64> {
    above.iter().zip(below).map(|(above, below)| above / below).collect()
}

/// Round by round.
pub fn differences(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(left, right)| left - right).collect()
}
