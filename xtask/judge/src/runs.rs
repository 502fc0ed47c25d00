//! How many of several runs must be right, if the host of a virtual machine can make a single run wrong.
//!
//! In: a measurement, and a rule. Out: a verdict; every run that was off is told, also where the verdict is good. The odds are
//! in docs/decisions.md.

use anyhow::Result;

use crate::{bounds::Off, taken};

/// A measurement passes with `alone` runs that are right, if none was wrong; with `right` ones, if some was. It fails with
/// `wrong` ones. A run that was off by no more than what was taken from the CPUs meanwhile is neither. If `most` runs decide
/// nothing, nobody can tell here.
#[derive(Clone, Copy)]
pub struct Rule {
    pub alone: usize,
    pub right: usize,
    pub wrong: usize,
    pub most: usize,
}

/// Of a live test: two runs that are right, before two that are wrong.
pub const TEST: Rule = Rule { alone: 2, right: 2, wrong: 2, most: 5 };
/// Of a cell of the lab, which five kernels repeat: one run that is right; after one that is wrong, three before three.
pub const CELL: Rule = Rule { alone: 1, right: 3, wrong: 3, most: 5 };

/// What the runs came to.
pub enum Verdict<T> {
    /// What the last run that was right found, and what those were that were not.
    Right(T, Vec<String>),
    /// What the wrong ones were.
    Wrong(Vec<String>),
    /// Each was off by less than what was taken from the CPUs.
    Untold(Vec<String>),
}

/// Measures by a rule.
///
/// # Errors
/// What a run says, unless it is a time that is off: a count that is wrong is wrong at once.
pub fn judge<T>(rule: Rule, mut measure: impl FnMut() -> Result<T>) -> Result<Verdict<T>> {
    by(rule, taken::taken_ns, &mut measure)
}

fn by<T>(
    rule: Rule,
    taken_ns: impl Fn() -> u64,
    measure: &mut dyn FnMut() -> Result<T>,
) -> Result<Verdict<T>> {
    let (mut right, mut wrong, mut told, mut last) = (0, 0, Vec::new(), None);
    for _ in 0..rule.most {
        let before_ns = taken_ns();
        let off = match measure() {
            Ok(found) => {
                right += 1;
                last = Some(found);
                None
            }
            Err(error) => Some(error.downcast::<Off>()?),
        };
        if let Some(off) = off {
            let taken_ns = taken_ns().saturating_sub(before_ns);
            wrong += usize::from(off.by_ns > taken_ns);
            told.push(format!("off by {} ns while {taken_ns} ns were taken from the CPUs: {off}", off.by_ns));
        }
        if wrong >= rule.wrong {
            return Ok(Verdict::Wrong(told));
        }
        let enough = if wrong == 0 { rule.alone } else { rule.right };
        if let Some(found) = last.take_if(|_| right >= enough) {
            return Ok(Verdict::Right(found, told));
        }
    }
    Ok(if wrong > 0 { Verdict::Wrong(told) } else { Verdict::Untold(told) })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Runs that are right (`r`), wrong (`w`), or off by less than what was taken (`t`): verdict and number of runs.
    fn verdict(rule: Rule, runs: &str) -> (&'static str, usize) {
        let (count, taken) = (Cell::new(0), Cell::new(0));
        let mut measure = || {
            let kind = runs.as_bytes()[count.get()];
            count.set(count.get() + 1);
            taken.set(taken.get() + if kind == b't' { 10 } else { 0 });
            match kind {
                b'r' => Ok(()),
                _ => Err(Off { what: "off".to_owned(), by_ns: 10 }.into()),
            }
        };
        let name = match by(rule, || taken.get(), &mut measure).unwrap() {
            Verdict::Right((), _) => "right",
            Verdict::Wrong(_) => "wrong",
            Verdict::Untold(_) => "untold",
        };
        (name, count.get())
    }

    #[test]
    fn a_test_needs_two_of_three() {
        assert_eq!(verdict(TEST, "rr"), ("right", 2));
        assert_eq!(verdict(TEST, "wrr"), ("right", 3));
        assert_eq!(verdict(TEST, "rww"), ("wrong", 3));
        assert_eq!(verdict(TEST, "ww"), ("wrong", 2));
        assert_eq!(verdict(TEST, "trtr"), ("right", 4));
        assert_eq!(verdict(TEST, "ttttt"), ("untold", 5));
        assert_eq!(verdict(TEST, "ttttr"), ("untold", 5));
        assert_eq!(
            verdict(TEST, "twttr"),
            ("wrong", 5),
            "one that nothing excuses, and no two that are right"
        );
    }

    #[test]
    fn a_cell_needs_one_or_three_of_five() {
        assert_eq!(verdict(CELL, "r"), ("right", 1));
        assert_eq!(verdict(CELL, "wrrr"), ("right", 4));
        assert_eq!(verdict(CELL, "wrwrr"), ("right", 5));
        assert_eq!(verdict(CELL, "wrwrw"), ("wrong", 5));
        assert_eq!(verdict(CELL, "www"), ("wrong", 3));
    }

    #[test]
    fn a_wrong_count_is_wrong_at_once() {
        let error = judge(TEST, || -> Result<()> { anyhow::bail!("3 of 4 calls") });
        assert_eq!(error.err().unwrap().to_string(), "3 of 4 calls");
    }
}
