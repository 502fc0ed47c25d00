//! Open waits for locks, against a list of them.

use std::vec::Vec;

use profiler_common::lock::flag::{MUTEX, READ, SPIN};

use super::{Random, new_thread};
use crate::lock_wait::{NESTING, NO_LOCK, TIMED};
use crate::lock_waits::Room;

#[derive(Clone, Copy, Debug, PartialEq)]
struct One {
    lock: u64,
    kind: u32,
    tid: u32,
    begin_ns: u64,
}

#[test]
fn an_end_finds_the_wait_that_it_ends() {
    let (mut full, mut strangers) = (0, 0);
    for seed in 0..500 {
        let (mut random, thread) = (Random::new(seed), new_thread());
        let (waits, mut open): (_, Vec<One>) = (&thread.waits, Vec::new());
        for now in 1..300u64 {
            let lock = 0x1000 + 8 * random.below(6);
            let kind = [MUTEX, READ, SPIN | TIMED, MUTEX | TIMED][random.below(4) as usize];
            let one = One { lock, kind, tid: random.below(2) as u32, begin_ns: now };
            if random.percent(55) {
                begins(waits, &mut open, one, &mut full);
            } else {
                ends(waits, &mut open, one, &mut strangers);
            }
            let last = open.iter().filter(|one| one.kind == SPIN | TIMED).max_by_key(|one| one.begin_ns);
            assert_eq!(waits.last(SPIN), last.map_or(NO_LOCK, |one| one.lock), "seed {seed}");
            assert_eq!(waits.stack_of_open().is_some(), !open.is_empty(), "seed {seed}");
            let timed = open.iter().any(|one| one.lock == lock && one.kind & TIMED != 0);
            assert_eq!(waits.is_timed(lock), timed, "seed {seed}");
            let oldest = open.iter().min_by_key(|one| one.begin_ns).filter(|_| open.len() == NESTING);
            let found = waits.oldest_if_full().map(|wait| wait.lock.get());
            assert_eq!(found, oldest.map(|one| one.lock), "seed {seed}");
        }
    }
    assert!(full > 1_000 && strangers > 1_000, "only {full} had no place, {strangers} were another's");
}

fn begins(waits: &crate::lock_waits::Waits, open: &mut Vec<One>, one: One, full: &mut u32) {
    let place = waits.place(one.lock, one.kind);
    if let Some(known) = open.iter().position(|known| known.lock == one.lock) {
        let kept = one.kind & MUTEX != 0 || open[known].kind & TIMED != 0 && one.kind & TIMED == 0;
        assert_eq!(place == Room::Open, kept, "{one:?} of {open:?}");
        if !kept {
            open.remove(known);
        }
    } else if open.len() == NESTING {
        assert_eq!(place, Room::Full);
        *full += 1;
    }
    if let Room::At(index) = place {
        waits.at(index).prepare(one.kind, false, one.tid);
        waits.at(index).open(one.lock, one.begin_ns);
        open.push(one);
    }
}

fn ends(waits: &crate::lock_waits::Waits, open: &mut Vec<One>, one: One, strangers: &mut u32) {
    let index = waits.ending(one.lock, one.tid);
    let Some(known) = open.iter().position(|known| known.lock == one.lock) else {
        assert_eq!(index, None);
        return;
    };
    let known = open.remove(known);
    if known.tid != one.tid {
        *strangers += 1;
        assert_eq!(index, None, "the wait of another thread ended");
        return;
    }
    let wait = waits.at(index.expect("an open wait of this thread"));
    assert_eq!((wait.lock.get(), wait.begin_ns.get()), (known.lock, known.begin_ns));
    assert!(wait.give_up());
}
