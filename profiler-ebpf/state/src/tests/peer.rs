//! What a thread received last, and whether its call slept for it.

use profiler_common::part::Part;
use profiler_common::peer::{IO_URING_ENTER, SendRow};

use std::vec::Vec;

use super::new_thread;
use crate::peer::{LastPeer, Peer};
use crate::thread::{Thread, flag};

const PEER: Peer = Peer { address: [0, 7], port: 80 };

fn new_peer() -> LastPeer {
    // SAFETY: all words are integers, and any bits are their value; so does the kernel make one.
    unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
}

fn in_call(nr: u32, asleep_ns: u64) -> Thread {
    let thread = new_thread();
    thread.nr.set(nr);
    thread.enter_ns.set(100);
    thread.slice.on_ns.set(100 + asleep_ns);
    thread.parts.ns[Part::Sleep as usize].set(asleep_ns);
    thread.flags.set(flag::KNOWN | flag::IN_CALL);
    thread
}

#[test]
fn a_call_that_slept_is_marked_and_no_other_is() {
    let last = new_peer();
    let thread = in_call(0, 50);
    assert!(last.in_call(&PEER, &thread) && thread.is(flag::RECEIVED));
    assert_eq!((last.waited_ns(), last.told().time_ns), (50, 150));
    let awake = in_call(0, 0);
    assert!(!last.in_call(&PEER, &awake) && !awake.is(flag::RECEIVED));
    assert_eq!(last.told().time_ns, 100, "it is the last receive all the same");
}

#[test]
fn what_waits_for_many_connections_waits_for_none_of_them() {
    let last = new_peer();
    let ring = in_call(IO_URING_ENTER, 50);
    assert!(!last.in_call(&PEER, &ring) && !ring.is(flag::RECEIVED));
    assert_eq!((last.told().address, last.told().port), (PEER.address, PEER.port));
}

const OTHER: Peer = Peer { address: [0, 7], port: 81 };

fn received() -> LastPeer {
    let last = new_peer();
    last.outside(&PEER, 5);
    last
}

#[test]
fn sends_are_handed_over_sixteen_at_a_time() {
    let last = received();
    let given: Vec<_> = (0..32).map(|at| last.sent(if at % 8 == 0 { &OTHER } else { &PEER })).collect();
    let rows: Vec<_> = given.iter().filter(|row| row.sends != 0).collect();
    let row = SendRow { sends: 16, astray: 2, ..SendRow::default() };
    assert_eq!(rows, [&row, &row]);
    assert_eq!(given[15], row);
}

#[test]
fn samples_are_for_the_send_after_them_and_hand_over_at_once() {
    let last = received();
    assert_eq!(last.sent(&PEER).sends, 0);
    (0..3).for_each(|_| last.sampled());
    assert_eq!(last.sent(&PEER), SendRow { sends: 2, astray: 0, samples: 3, samples_astray: 0 });
    last.sampled();
    assert_eq!(last.sent(&OTHER), SendRow { sends: 1, astray: 1, samples: 1, samples_astray: 1 });
    assert_eq!(last.sent(&OTHER), SendRow::default(), "no sample, no haste");
}

#[test]
fn samples_before_the_next_receive_say_nothing_of_a_send_after_it() {
    let last = received();
    last.sampled();
    last.outside(&OTHER, 9);
    assert_eq!(last.sent(&OTHER), SendRow::default());
    last.sampled();
    let row = last.sent(&OTHER);
    assert_eq!((row.sends, row.astray, row.samples), (2, 0, 1));
}
