//! The peer that a thread received from last, and whether the thread works for that peer.
//!
//! In: a receive, a CPU sample or a send, while the thread runs. Out: a record of its own beside the thread's; whether its call slept
//! for the receive; how many sends went to the connection that it received from last.

use profiler_common::abi;
use profiler_common::part::Part;
use profiler_common::peer::{IO_URING_ENTER, LastReceive, NO_CALL, SendRow};

use crate::field::Field;
use crate::slot::Slot;
use crate::thread::{Thread, flag};

/// Sends that a thread counts by itself before it adds them to their row, which costs a look-up. If a CPU
/// sample came before a send, it adds them at once, because the row matters most for threads that are
/// sampled.
const SENDS: u32 = 16;

/// What is known of a thread's last receive. Only the thread itself writes it, and the timer on top of it.
#[repr(C)]
pub struct LastPeer {
    address: [Field<u64>; 2],
    time_ns: Field<u64>,
    waited_ns: Field<u64>,
    port: Field<u32>,
    nr: Field<u32>,
    round_trip_us: Field<u32>,
    connected: Field<u32>,
    sends: Field<u32>,
    astray: Field<u32>,
    sampled: Field<u32>,
    pad: Field<u32>,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// See [`profiler_common::peer::PeerKey::address`].
    pub address: [u64; 2],
    /// Its port.
    pub port: u32,
}

impl LastPeer {
    /// A thread received in a call that it has not left the CPU in: when that began is when it received.
    #[inline(always)]
    pub fn in_slot(&self, peer: &Peer, slot: &Slot) {
        self.note(peer, slot.nr.get(), slot.enter_ns.get());
    }

    /// The same outside of any call that is followed.
    #[inline(always)]
    pub fn outside(&self, peer: &Peer, now: u64) {
        self.note(peer, NO_CALL, now);
    }

    /// The same in a call that the thread's record holds; whether it had slept in it. It received when it came back to the
    /// CPU, or began the call.
    #[inline(always)]
    pub fn in_call(&self, peer: &Peer, thread: &Thread) -> bool {
        let (entered, on) = (thread.enter_ns.get(), thread.slice.on_ns.get());
        let nr = thread.nr.get();
        self.note(peer, nr, if on > entered { on } else { entered });
        let waited = thread.parts.ns[Part::Sleep as usize].get();
        if waited == 0 || nr & abi::PLACE == IO_URING_ENTER {
            return false;
        }
        self.waited_ns.set(waited);
        thread.flags.set(thread.flags.get() | flag::RECEIVED);
        true
    }

    #[inline(always)]
    fn note(&self, peer: &Peer, nr: u32, time_ns: u64) {
        self.address[0].set(peer.address[0]);
        self.address[1].set(peer.address[1]);
        self.port.set(peer.port);
        self.nr.set(nr);
        self.time_ns.set(time_ns);
        self.sampled.set(0);
    }

    /// The timer met the thread.
    #[inline(always)]
    pub fn sampled(&self) {
        self.sampled.set(self.sampled.get().wrapping_add(1));
    }

    /// The thread sent something. Returns what to add to its process's row: no sends if it is not yet time.
    #[inline(always)]
    pub fn sent(&self, peer: &Peer) -> SendRow {
        let differs = self.address[0].get() ^ peer.address[0]
            | self.address[1].get() ^ peer.address[1]
            | u64::from(self.port.get() ^ peer.port);
        let astray = u32::from(differs != 0);
        let (sends, all_astray) = (self.sends.get() + 1, self.astray.get() + astray);
        let sampled = self.sampled.get();
        if sampled == 0 && sends < SENDS {
            self.sends.set(sends);
            self.astray.set(all_astray);
            return SendRow { sends: 0, astray: 0, samples: 0, samples_astray: 0 };
        }
        self.sends.set(0);
        self.astray.set(0);
        self.sampled.set(0);
        let samples = u64::from(sampled);
        SendRow {
            sends: u64::from(sends),
            astray: u64::from(all_astray),
            samples,
            samples_astray: samples * u64::from(astray),
        }
    }

    /// Notes what only a wait's row needs of the connection: its shortest round trip, µs, and whether the process connected
    /// it itself.
    #[inline(always)]
    pub fn describe(&self, round_trip_us: u32, connected: bool) {
        self.round_trip_us.set(round_trip_us);
        self.connected.set(u32::from(connected));
    }

    /// That round trip, µs; 0: not known.
    #[inline(always)]
    pub fn round_trip_us(&self) -> u32 {
        self.round_trip_us.get()
    }

    /// Whether the process connected it itself.
    #[inline(always)]
    pub fn is_connected(&self) -> bool {
        self.connected.get() != 0
    }

    /// How long the call had slept when it received last, ns: of one that slept.
    #[inline(always)]
    pub fn waited_ns(&self) -> u64 {
        self.waited_ns.get()
    }

    /// From whom, as [`profiler_common::peer::PeerKey::address`].
    #[inline(always)]
    pub fn address(&self) -> [u64; 2] {
        [self.address[0].get(), self.address[1].get()]
    }

    /// What user space is told.
    #[inline(always)]
    pub fn told(&self) -> LastReceive {
        LastReceive {
            address: self.address(),
            time_ns: self.time_ns.get(),
            port: self.port.get(),
            nr: self.nr.get(),
        }
    }
}
