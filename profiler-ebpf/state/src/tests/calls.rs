//! Calls, waits and interruptions of one thread at random: what comes out is what the thread did.

use profiler_common::outcome::Outcome;
use profiler_common::part::Part;

use super::driver::Driver;
use super::model::Row;

const SEEDS: u64 = 400;
const STEPS: u32 = 300;

/// Whether the first waits that came out are the first that there were; else, where they differ. How many came out.
fn compare(driver: &Driver, seed: u64) -> (usize, usize) {
    let (found, truth) = (driver.world.rows.borrow(), driver.history.waits());
    let differ = found.iter().zip(&truth).position(|(found, truth)| found != truth);
    let differ: Option<(usize, Row, Row)> = differ.map(|at| (at, found[at], truth[at]));
    assert_eq!(differ, None, "seed {seed}: place, found, truth");
    (found.len(), truth.len())
}

#[test]
fn parts_and_waits_are_what_the_thread_did() {
    let (mut ended, mut failed, mut waits) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut driver = Driver::new(seed, (0, 0));
        for step in 0..STEPS {
            if let Some((found, truth)) = driver.step() {
                assert_eq!(found, truth, "seed {seed}, step {step}");
                ended += 1;
                failed += u32::from(truth.failed);
            }
        }
        let (found, truth) = compare(&driver, seed);
        assert_eq!(found, truth, "seed {seed}");
        assert_eq!(driver.world.counted(Outcome::SwitchMissed), 0, "seed {seed}");
        waits += found;
    }
    assert!(ended > 10_000 && waits > 10_000, "only {ended} calls and {waits} waits: nothing is shown");
    assert!(failed > 1_000, "only {failed} calls that ended where they were interrupted");
}

#[test]
fn waits_whose_end_nobody_saw_are_in_the_call_that_they_were_in() {
    let (mut ended, mut recovered) = (0, 0);
    for seed in 0..SEEDS {
        let mut driver = Driver::new(seed, (30, 0));
        for step in 0..STEPS {
            if let Some((found, truth)) = driver.step() {
                assert_eq!(found, truth, "seed {seed}, step {step}");
                ended += 1;
            }
        }
        // The last of them may still be open.
        let (found, truth) = compare(&driver, seed);
        assert!(found <= truth && truth - found <= 2, "seed {seed}: {found} of {truth} waits");
        recovered += driver.world.counted(Outcome::SwitchRecovered);
    }
    assert!(ended > 10_000 && recovered > 1_000, "only {ended} calls, {recovered} recovered");
}

#[test]
fn what_is_missed_is_unaccounted_and_counted() {
    let (mut ended, mut unaccounted) = (0, 0);
    for seed in 0..SEEDS {
        let mut driver = Driver::new(seed, (20, 20));
        for step in 0..STEPS {
            let Some((found, truth)) = driver.step() else { continue };
            let wall_ns: u64 = truth.parts.iter().sum();
            assert_eq!(found.parts.iter().sum::<u64>(), wall_ns, "seed {seed}, step {step}");
            if found.parts[Part::Unaccounted as usize] != 0 {
                let counted = [Outcome::SwitchMissed, Outcome::WakeupMissed, Outcome::SwitchRecovered];
                let counted: u64 = counted.map(|outcome| driver.world.counted(outcome)).iter().sum();
                assert_ne!(counted, 0, "seed {seed}, step {step}: {found:?} of {truth:?}");
                unaccounted += 1;
            }
            ended += 1;
        }
    }
    assert!(ended > 10_000 && unaccounted > 1_000, "only {ended} calls, {unaccounted} with something missed");
}
