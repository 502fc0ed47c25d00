//! Who ran during a wait, against the list of all turns.

use std::vec::Vec;

use super::Random;
use crate::turns::{REMEMBERED, Turn, Turns};

#[test]
fn a_wait_is_shared_among_those_who_ran_in_it() {
    let mut forgotten = 0;
    for seed in 0..500 {
        let mut random = Random::new(seed);
        // SAFETY: all words of turns are integers, and any bits are their value.
        let turns: Turns = unsafe { core::mem::MaybeUninit::zeroed().assume_init() };
        let (mut all, mut now): (Vec<(u64, Turn)>, u64) = (Vec::new(), 1_000);
        for count in 0..100 {
            let begin = now;
            now += random.below(50);
            let turn = Turn { task: 64 * random.below(5), until_ns: now, tgid: random.below(5) as u32 };
            turns.add(&turn);
            all.push((begin, turn));
            let since = now.saturating_sub(random.below(2_000));
            let mut shared = Vec::new();
            let complete = turns.share(since, now, |turn, ns| shared.push((*turn, ns)));
            // The latest turn that is remembered has no turn before it that would tell its begin.
            let remembered = all.len().min(REMEMBERED) - 1;
            let expected: Vec<(Turn, u64)> = all
                .iter()
                .rev()
                .take(remembered)
                .take_while(|(_, turn)| turn.until_ns > since)
                .map(|(begin, turn)| (*turn, turn.until_ns - *begin.max(&since)))
                .collect();
            let covered: u64 = expected.iter().map(|(_, ns)| ns).sum();
            let with_time = |(_, ns): &(Turn, u64)| *ns != 0;
            assert!(
                shared.into_iter().filter(with_time).eq(expected.into_iter().filter(with_time)),
                "seed {seed}, turn {count}"
            );
            assert_eq!(complete, covered == now - since, "seed {seed}, turn {count}");
            forgotten += u32::from(!complete);
        }
    }
    assert!(forgotten > 1_000, "only {forgotten} waits were longer than what is remembered");
}
