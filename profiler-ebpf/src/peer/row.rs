//! Rows of calls that slept until they received something.
//!
//! In: the end of such a call. Out: its row in `PEERS`.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::histogram::{SLOTS, slot_in};
use profiler_common::outcome::Outcome;
use profiler_common::peer::{CONNECTED, PeerKey, PeerRow};

use crate::global;
use crate::peer::last;
use crate::process::announce;
use crate::row::sum;
use crate::row::writer::{octave_of, this_writer};
use crate::task;

/// Receives that were waited for.
#[map]
static PEERS: HashMap<PeerKey, PeerRow> = HashMap::with_max_entries(8_192, 0);

/// The running thread's call ends; it slept, and then received what its last receive is of.
#[inline(always)]
pub fn ended(nr: u32, wall_ns: u64) {
    if global::peer_rows() != 0 {
        peer_row(nr, wall_ns);
    }
}

/// A global function: what it needs of the stack is not below the other functions of a call's end.
#[unsafe(no_mangle)]
#[inline(never)]
fn peer_row(nr: u32, wall_ns: u64) -> u32 {
    let Some(last) = last::get(task::current()) else { return 0 };
    let (tgid, wait_ns) = ((bpf_get_current_pid_tgid() >> 32) as u32, last.waited_ns());
    let (told, connected) = (last.told(), last.is_connected());
    let octave = octave_of(wait_ns) as u8;
    let key = PeerKey {
        address: told.address,
        tgid,
        writer: this_writer(),
        port: if connected { told.port as u16 } else { 0 },
        nr: nr as u16,
        octave,
        flags: if connected { CONNECTED } else { 0 },
        pad: 0,
    };
    let slot = slot_in(octave, wait_ns) & (SLOTS - 1);
    let round_trip_us = u64::from(last.round_trip_us());
    let mut first = PeerRow { slots: [0; SLOTS], wait_ns, wait_max_ns: wait_ns, wall_ns, round_trip_us };
    first.slots[slot] = 1;
    let new = sum::add(&PEERS, &key, &first, (Outcome::PeerRowFull, 1), |row| {
        row.slots[slot] += 1;
        row.wait_ns += wait_ns;
        row.wall_ns += wall_ns;
        row.round_trip_us += round_trip_us;
        if wait_ns > row.wait_max_ns {
            row.wait_max_ns = wait_ns;
        }
    });
    if new {
        announce::process(tgid);
    }
    0
}
