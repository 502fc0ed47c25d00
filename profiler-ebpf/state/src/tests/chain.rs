//! What a wait takes over from its waker, against the list of all of the waker's waits.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::Random;
use crate::chain::{REMEMBERED, Recent, Wait};
use crate::inherited::Inherited;
use profiler_common::chain::{DEEPEST, How, NO_LINK};

fn new<T>() -> T {
    // SAFETY: all words of these are integers, and any bits are their value; so does the kernel make them.
    unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
}

/// What each link covers of a wait, by the last waits, without those whose root is the waiter.
fn covered(all: &[Wait], tid: u32, (begin, end): (u64, u64)) -> (BTreeMap<u64, u64>, bool) {
    let (mut sums, mut cycle) = (BTreeMap::new(), false);
    for wait in all.iter().rev().take(REMEMBERED) {
        let ns = wait.end_ns.min(end).saturating_sub(wait.begin_ns.max(begin));
        if ns > 0 && wait.root == tid {
            cycle = true;
        } else if ns > 0 {
            *sums.entry(wait.link).or_insert(0) += ns;
        }
    }
    let least = (end - begin) / 8;
    sums.retain(|_, ns| *ns >= least);
    (sums, cycle)
}

#[test]
fn a_wait_takes_over_what_its_waker_waited_for_inside_of_it() {
    let (mut inherited, mut several, mut cycles, mut deep) = (0, 0, 0, 0);
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let (recent, taken): (Recent, Inherited) = (new(), new());
        let (mut all, mut now): (Vec<Wait>, u64) = (Vec::new(), 10_000);
        for _ in 0..60 {
            let begin_ns = now + random.below(40);
            now = begin_ns + 1 + random.below(200);
            let depth = if random.percent(3) { DEEPEST } else { 1 + random.below(4) as u32 };
            let wait = Wait {
                begin_ns,
                end_ns: now,
                link: 1 + random.below(4),
                root: 1 + random.below(6) as u32,
                depth,
            };
            recent.add(&wait);
            all.push(wait);
            let (tid, end) = (1 + random.below(6) as u32, now + random.below(30));
            let since = end - 1 - random.below(900);
            taken.take(&recent, tid, (since, end));
            let (expected, cycle) = covered(&all, tid, (since, end));
            assert_eq!(taken.cycle.get() != 0, cycle, "seed {seed}");
            let (parent, ns) = taken.parent();
            if taken.how() == How::Deep as u32 {
                deep += 1;
                assert_eq!((parent, ns), (NO_LINK, 0));
                continue;
            }
            let mut found: BTreeMap<u64, u64> = BTreeMap::new();
            taken.others(parent, |link, ns| assert!(found.insert(link, ns).is_none(), "seed {seed}: twice"));
            if parent != NO_LINK {
                found.insert(parent, ns);
            }
            assert_eq!(found, expected, "seed {seed}");
            assert_eq!(ns, expected.values().copied().max().unwrap_or(0));
            assert!(expected.values().sum::<u64>() <= end - since, "more than the wait is explained");
            let how = match (expected.is_empty(), cycle) {
                (false, _) => How::Inherited,
                (true, true) => How::Cycle,
                (true, false) => How::Ran,
            };
            assert_eq!(taken.how(), how as u32, "seed {seed}");
            let (root, depth) = taken.root(tid);
            let of_parent =
                |wait: &&Wait| wait.link == parent && wait.root == root && wait.depth + 1 == depth;
            assert!(how != How::Inherited || all.iter().rev().take(REMEMBERED).any(|wait| of_parent(&wait)));
            assert!(how == How::Inherited || (root, depth) == (tid, 1));
            inherited += u32::from(how == How::Inherited);
            several += u32::from(expected.len() > 1);
            cycles += u32::from(cycle);
        }
    }
    assert!(
        inherited > 1_000 && several > 1_000 && cycles > 1_000 && deep > 100,
        "{inherited} {several} {cycles} {deep}"
    );
}

#[test]
fn four_waits_are_remembered_and_the_fifth_takes_the_place_of_the_first() {
    let (recent, taken): (Recent, Inherited) = (new(), new());
    for index in 0..5 {
        let begin_ns = 1_000 * index;
        recent.add(&Wait { begin_ns, end_ns: begin_ns + 900, link: 7, root: 3, depth: 1 });
    }
    taken.take(&recent, 9, (0, 5_000));
    assert_eq!(taken.parent(), (7, 3_600));
    assert_eq!(taken.root(9), (3, 2));
}
