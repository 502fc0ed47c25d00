//! What a thread received last, and whether its call slept for it.

use profiler_common::part::Part;
use profiler_common::peer::IO_URING_ENTER;

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
