//! Work that must last, sized by time on the machine at hand.
//!
//! In: how long a unit of work shall take alone, and the work. Out: how much of it that is here, and how long it takes by
//! the thread's CPU clock. `WORKLOAD_UNIT` (0.25, 4) multiplies what was sized: with it the live tests show that none of
//! them assumes how fast a CPU or a disk is.

use std::{io, sync::OnceLock};

use crate::system::cpu_time;

/// Sized by runs of at least this, or of a quarter of what is wanted: many times what the clock itself takes.
const LEAST_NS: u64 = 500_000;
/// It is measured so often; the fastest counts for sizing, the middle is told.
const TRIES: usize = 5;

/// How much of the work one unit is, and how long it takes, ns.
#[derive(Clone, Copy)]
pub struct Unit {
    pub amount: u64,
    pub ns: u64,
}

/// The factor, for the check that it does not matter.
fn factor() -> f64 {
    static FACTOR: OnceLock<f64> = OnceLock::new();
    *FACTOR.get_or_init(|| {
        let set = std::env::var("WORKLOAD_UNIT").ok().and_then(|text| text.parse::<f64>().ok());
        set.filter(|factor| (0.01..=100.0).contains(factor)).unwrap_or(1.0)
    })
}

/// A fixed amount, by the factor.
pub fn scaled(amount: u64) -> u64 {
    ((amount as f64 * factor()) as u64).max(1)
}

/// CPU time of the calling thread in it, ns.
pub fn spent(work: impl FnOnce()) -> u64 {
    let begin = cpu_time();
    work();
    cpu_time() - begin
}

/// Finds the amount of which `work`, which tells what it took in ns, takes `us`; no more than `most`.
///
/// # Errors
/// What the work says.
pub fn lasting(
    us: u64,
    (least, most): (u64, u64),
    mut work: impl FnMut(u64) -> io::Result<u64>,
) -> io::Result<Unit> {
    let wanted_ns = us * 1000;
    let mut amount = least;
    let mut took = times(amount, &mut work)?[0];
    while took < (wanted_ns / 4).min(LEAST_NS) && amount < most {
        amount = (amount * 2).min(most);
        took = times(amount, &mut work)?[0];
    }
    let sized = (amount as f64 * wanted_ns as f64 / took.max(1) as f64) as u64;
    let amount = scaled(sized.max(1)).min(most);
    Ok(Unit { amount, ns: times(amount, &mut work)?[TRIES / 2] })
}

/// What some runs of that amount took, sorted.
fn times(amount: u64, work: &mut impl FnMut(u64) -> io::Result<u64>) -> io::Result<[u64; TRIES]> {
    let mut times = [0; TRIES];
    for time in &mut times {
        *time = work(amount)?;
    }
    times.sort_unstable();
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn a_unit_is_as_much_as_was_measured() {
        let mut done = Vec::new();
        let unit = lasting(2000, (1, 1 << 40), |amount| {
            done.push(amount);
            Ok(spent(|| (0..amount * 1000).for_each(|step| _ = black_box(step))))
        });
        let unit = unit.unwrap();
        // What it was sized to is what was measured last, and all that was told.
        assert!(done.ends_with(&[unit.amount; TRIES]));
        assert!(unit.ns > 0);
    }

    #[test]
    fn no_more_is_asked_for_than_there_is() {
        let unit = lasting(1_000, (1, 64), |amount| {
            assert!(amount <= 64);
            Ok(amount)
        });
        assert_eq!(unit.unwrap().amount, 64);
    }
}
