//! A thread sends: is it to the connection that it received from last? If so, its CPU time before was for that peer.
//!
//! In: the socket. Out: rows of `PEER_SENDS`, per process. A thread that has not received is not asked: its samples have no peer.
//! A send pays for one look-up; every sixteenth, and the first after a CPU sample, for an update of the row.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::outcome::Outcome;
use profiler_common::peer::{SendKey, SendRow};

use crate::peer::last;
use crate::peer::receive::{peer, peer_offset};
use crate::peer::sample;
use crate::process::announce;
use crate::row::sum;
use crate::row::writer::this_writer;
use crate::task;
use crate::task::read::follow;
use crate::thread::slot;

/// Sends that were compared.
#[map]
static PEER_SENDS: HashMap<SendKey, SendRow> = HashMap::with_max_entries(2_048, 0);

/// `IPPROTO_TCP` (include/uapi/linux/in.h).
const TCP: u16 = 6;

/// The running thread sends to a socket of any kind.
#[inline(always)]
pub fn sent(socket: *const c_void) {
    if !sample::are_wanted() || slot::is_outside() || peer_offset!(known) == 0 || peer_offset!(protocol) == 0
    {
        return;
    }
    // SAFETY: the tracepoint's argument.
    if unsafe { follow::<u16>(socket, peer_offset!(protocol)) } != TCP {
        return;
    }
    let Some(last) = last::get(task::current()) else { return };
    let Some(peer) = peer(socket) else { return };
    let row = last.sent(&peer);
    if row.sends != 0 {
        add(&row);
    }
}

#[inline(never)]
fn add(new: &SendRow) -> u32 {
    let key = SendKey { tgid: (bpf_get_current_pid_tgid() >> 32) as u32, writer: this_writer() };
    let made = sum::add(&PEER_SENDS, &key, new, (Outcome::PeerSendRowFull, new.sends), |row| {
        row.sends += new.sends;
        row.astray += new.astray;
        row.samples += new.samples;
        row.samples_astray += new.samples_astray;
    });
    if made {
        announce::process(key.tgid);
    }
    0
}
