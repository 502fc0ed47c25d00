//! In: what was measured, and between which values a witness knows the truth to lie. Out: agreement, or how far off it is.

use std::fmt;

/// A time that is too far from the truth. Other than a count, it may be the host's doing, and is measured again.
#[derive(Debug)]
pub struct Off {
    /// Both figures, and the bound.
    pub what: String,
    /// How far beyond the bound, ns.
    pub by_ns: u64,
}

impl fmt::Display for Off {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for Off {}

/// A time between two that a witness knows, give or take `bound` ns; a line with the figures.
///
/// # Errors
/// When it is further off.
pub fn between(what: &str, measured: u64, (least, most): (u64, u64), bound: u64) -> Result<String, Off> {
    let share = |ns: u64| (measured as f64 / ns.max(1) as f64 - 1.0) * 100.0;
    let said = if least == most { format!("{most} ns") } else { format!("{least} to {most} ns") };
    let text = format!("{what}: {measured} ns, the witness says {said} ± {bound} ({:+.2} %)", share(most));
    match measured.abs_diff(measured.clamp(least.saturating_sub(bound), most.saturating_add(bound))) {
        0 => Ok(text),
        by_ns => Err(Off { what: text, by_ns }),
    }
}

/// The same where the witness knows one value.
///
/// # Errors
/// When it is further off.
pub fn near(what: &str, measured: u64, truth: u64, bound: u64) -> Result<String, Off> {
    between(what, measured, (truth, truth), bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_within_the_bound_of_either_end_agrees() {
        assert!(between("a", 90, (100, 200), 10).is_ok());
        assert!(between("a", 210, (100, 200), 10).is_ok());
        assert_eq!(between("a", 85, (100, 200), 10).unwrap_err().by_ns, 5);
        assert_eq!(between("a", 217, (100, 200), 10).unwrap_err().by_ns, 7);
        assert_eq!(near("a", 5, 5, 0).unwrap(), "a: 5 ns, the witness says 5 ns ± 0 (+0.00 %)");
    }
}
