//! Waits that are kept until their call ends, against a list.

use std::vec::Vec;

use profiler_common::wait::Waker;

use super::{Random, new_thread};
use crate::pending::{KINDS, Kind};

#[test]
fn sums_are_those_of_the_waits_that_were_kept() {
    let mut refused = 0;
    for seed in 0..500 {
        let (mut random, thread) = (Random::new(seed), new_thread());
        let mut expected: Vec<Kind> = Vec::new();
        for _ in 0..200 {
            let ns = random.below(1_000);
            let waker = Waker { tgid: random.below(2) as u32, ..Waker::default() };
            let one = Kind {
                kernel: random.below(2),
                waker,
                total_ns: ns,
                max_ns: ns,
                waits: 1,
                packed: random.below(2) as u32,
            };
            let same = |kind: &&mut Kind| {
                (kind.kernel, kind.waker, kind.packed) == (one.kernel, one.waker, one.packed)
            };
            let room = if let Some(kind) = expected.iter_mut().find(same) {
                kind.waits += 1;
                kind.total_ns += ns;
                kind.max_ns = kind.max_ns.max(ns);
                true
            } else if expected.len() < KINDS {
                expected.push(one);
                true
            } else {
                refused += 1;
                false
            };
            assert_eq!(thread.pending.keep(&one), room, "seed {seed}");
            assert_eq!(thread.pending.is_empty(), expected.is_empty());
            if random.percent(10) {
                let mut drained = Vec::new();
                thread.pending.drain(|kind| drained.push(*kind));
                assert_eq!(drained, expected, "seed {seed}");
                assert!(thread.pending.is_empty());
                expected.clear();
            }
        }
    }
    assert!(refused > 1_000, "only {refused} had no room");
}
