//! Conditions for scripts: `p99(sendto) > +20%`.
//!
//! In: text; a difference. Out: a condition, or a sentence that says how to write one; whether it is met, not met, or cannot be decided
//! because the recordings do not tell so small a change.

use super::change::{Difference, Verdict};
use super::measure::Quantity;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// As it was typed.
    pub text: String,
    quantity: Quantity,
    name: String,
    more: bool,
    /// The change, as a part of what was before.
    part: f64,
}

/// What a difference says of a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It holds, and chance does not explain it. With the sentence that says so.
    Met(String),
    /// It does not hold, and a change of that size would have been seen.
    NotMet(String),
    /// The recordings do not tell.
    Undecided(String),
    /// Neither recording has that name.
    NoSuchName(String),
}

/// How a condition is written.
const FORM: &str = "write it like 'p99(sendto) > +20%': usual, mean, p50, p99, rate, slow or time of a call, lock, hook, function or counter, then > or < and a change in per cent";

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// A sentence that says how to write one.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| FORM.to_owned())
    }

    fn read(text: &str) -> Option<Self> {
        let (quantity, rest) = text.split_once('(')?;
        let (name, rest) = rest.rsplit_once(')')?;
        let (_, quantity) = Quantity::NAMED.iter().find(|(name, _)| *name == quantity.trim())?;
        let rest = rest.trim();
        let more = rest.starts_with('>');
        let number = rest.strip_prefix(['>', '<'])?.trim().strip_suffix('%')?.trim();
        let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return None;
        }
        let part = number.parse::<f64>().ok().filter(|part| part.is_finite())? / 100.0;
        let name = name.trim();
        // A change of nothing would be exceeded by chance, in either direction.
        let wrong_way = if more { part <= 0.0 } else { part >= 0.0 };
        if name.is_empty() || wrong_way {
            return None;
        }
        Some(Self { text: text.trim().to_owned(), quantity: *quantity, name: name.to_owned(), more, part })
    }

    /// What a difference says of it.
    pub fn outcome(&self, difference: &Difference) -> Outcome {
        let Some(change) = difference.of_name(&self.name, self.quantity) else {
            return Outcome::NoSuchName(format!("{}: neither recording has {:?}", self.text, self.name));
        };
        let found =
            match (change.before.filter(|value| *value > 0.0), change.after.filter(|value| *value > 0.0)) {
                (None, None) => {
                    return Outcome::Undecided(format!("{}: neither recording has any", self.text));
                }
                (None, Some(_)) => f64::INFINITY,
                (Some(_), None) => -1.0,
                (Some(before), Some(after)) => after / before - 1.0,
            };
        let exceeds = if self.more { found > self.part } else { found < self.part };
        let told =
            if found.is_finite() { format!("it is {:+.1} %", found * 100.0) } else { "it is new".to_owned() };
        let floor = change.floor.unwrap_or(f64::INFINITY);
        let seen = change.verdict.is_change();
        match (exceeds, seen) {
            (true, true) => Outcome::Met(format!("{}: {told}", self.text)),
            (false, true) => Outcome::NotMet(format!("{}: {told}", self.text)),
            (false, false) if floor <= self.part.abs() => Outcome::NotMet(format!("{}: {told}", self.text)),
            _ => Outcome::Undecided(self.undecided(&told, change.verdict, floor)),
        }
    }

    fn undecided(&self, told: &str, verdict: Verdict, floor: f64) -> String {
        let why = match verdict {
            Verdict::TooFew => "too few seconds of the recordings have it".to_owned(),
            _ if floor.is_finite() => {
                format!("only a change of {:.0} % or more would have been seen", (floor * 100.0).ceil())
            }
            _ => "chance may explain it".to_owned(),
        };
        format!(
            "{}: cannot be decided: {told}, but {why}; record longer, or ask for a larger change",
            self.text
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_people_write_them() {
        for (text, quantity, name, more, part) in [
            ("p99(sendto) > +20%", Quantity::P99, "sendto", true, 0.2),
            ("usual( read )>5 %", Quantity::Usual, "read", true, 0.05),
            ("rate(mutex [pipe mutex]) < -50%", Quantity::Rate, "mutex [pipe mutex]", false, -0.5),
            ("time(f(x)) > 12.5%", Quantity::Time, "f(x)", true, 0.125),
        ] {
            let found = Condition::parse(text).unwrap();
            assert_eq!(
                (found.quantity, found.name.as_str(), found.more, found.part),
                (quantity, name, more, part)
            );
        }
        for text in [
            "",
            "p99 > 5%",
            "p98(read) > 5%",
            "p99(read) = 5%",
            "p99() > 5%",
            "p99(read) > 5",
            "p99(read) > inf%",
            "p99(read) > 0%",
            "p99(read) > -5%",
            "p99(read) < 5%",
        ] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }
}
