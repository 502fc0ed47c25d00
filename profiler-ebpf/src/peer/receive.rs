//! A socket's data is taken out of its queue.
//!
//! In: the socket, whose fields are plain loads: the verifier knows the tracepoint's argument. Out: the running thread's last
//! receive, if it is of the target; whether its call slept until then. A receive pays for two look-ups, no clock and no update
//! of a map; the first one of a thread allocates its record.

use core::ffi::c_void;

use profiler_common::peer::{PeerOffsets, mapped};
use profiler_state::peer::Peer;

use crate::clock::now_ns;
use crate::peer::last;
use crate::task::read::{follow, read};
use crate::task::{self, Task};
use crate::thread::{record, slot};

#[unsafe(no_mangle)]
// SAFETY: plain integers; 0 of each: not known.
static PEER_OFFSETS: PeerOffsets = unsafe { core::mem::zeroed() };

/// One field of the offsets.
macro_rules! peer_offset {
    ($field:ident) => {
        $crate::peer::receive::read_offset(core::mem::offset_of!(profiler_common::peer::PeerOffsets, $field))
            as usize
    };
}
pub(super) use peer_offset;

/// Reads the offset at `field` bytes into the record, so that the verifier sees a constant.
#[inline(always)]
pub fn read_offset(field: usize) -> u32 {
    // SAFETY: `field` comes from `offset_of!` of that record.
    unsafe { core::ptr::read_volatile((&raw const PEER_OFFSETS).cast::<u32>().byte_add(field)) }
}

/// `AF_INET`, `AF_INET6` (include/linux/socket.h).
const IPV4: u16 = 2;
const IPV6: u16 = 10;
/// As the kernel's shortest round trip: there was none yet.
const NO_ROUND_TRIP: u32 = u32::MAX;

/// The running thread received, unless an interrupt on top of it did.
#[inline(always)]
pub fn received(socket: *const c_void) {
    if slot::is_outside() || peer_offset!(known) == 0 || !is_owned(socket) {
        return;
    }
    if let Some(peer) = peer(socket) {
        note(socket, &peer, task::current());
    }
}

/// Whether a process has locked the socket. What runs in an interrupt works on sockets that none has locked, and leaves the
/// others alone: both look under the same spinlock.
#[inline(always)]
fn is_owned(socket: *const c_void) -> bool {
    // SAFETY: the tracepoint's argument.
    unsafe { follow::<u32>(socket, peer_offset!(owned)) != 0 }
}

/// The other end of a socket, which must be a tracepoint's argument.
#[inline(always)]
pub fn peer(socket: *const c_void) -> Option<Peer> {
    // SAFETY: the tracepoint's argument; all of it is in the socket itself.
    unsafe {
        let family: u16 = follow(socket, peer_offset!(family));
        let port: u16 = follow(socket, peer_offset!(port));
        let port = u32::from(u16::from_be(port));
        if family == IPV4 {
            return Some(Peer { address: mapped(follow(socket, peer_offset!(address))), port });
        }
        if family != IPV6 || peer_offset!(address_v6) == 0 {
            return None;
        }
        let address = [
            follow(socket, peer_offset!(address_v6)),
            follow(socket, peer_offset!(address_v6) + size_of::<u64>()),
        ];
        Some(Peer { address, port })
    }
}

#[inline(always)]
fn note(socket: *const c_void, peer: &Peer, task: Task) {
    if let Some(slot) = slot::calling() {
        if let Some(last) = last::get_or_create(task) {
            last.in_slot(peer, slot);
        }
        return;
    }
    // Whoever has no record is not of the target.
    let Some(thread) = record::get(task) else { return };
    let Some(last) = last::get_or_create(task) else { return };
    if !thread.in_call() {
        last.outside(peer, now_ns());
    } else if last.in_call(peer, thread) {
        let socket = number(socket);
        last.describe(round_trip_us(socket), is_connected(socket));
    }
}

/// A pointer as a number: what follows is read by helper, since to the verifier the socket is no `tcp_sock`.
#[inline(always)]
fn number(pointer: *const c_void) -> u64 {
    let spilled = pointer;
    // The helper copies the pointer as if it were a number.
    read((&raw const spilled) as u64).unwrap_or(0)
}

/// The connection's shortest round trip, µs; 0: not known. The smoothed one has the peer's own time in it where the answer
/// carries the acknowledgement.
#[inline(always)]
fn round_trip_us(socket: u64) -> u32 {
    match peer_offset!(round_trip) {
        0 => 0,
        at => match read::<u32>(socket + at as u64) {
            Some(us) if us != NO_ROUND_TRIP => us,
            _ => 0,
        },
    }
}

/// Whether the process connected by a port that the kernel chose. Such a port is in a bucket that no `bind` may use
/// (`__inet_hash_connect`); those that listeners bind, and their connections keep, are in others.
#[inline(always)]
fn is_connected(socket: u64) -> bool {
    const BY_CONNECT: i8 = -1;
    if peer_offset!(bucket) == 0 {
        return false;
    }
    let bucket = read::<u64>(socket + peer_offset!(bucket) as u64).unwrap_or(0);
    bucket != 0 && read::<i8>(bucket + peer_offset!(reuse) as u64).unwrap_or(0) == BY_CONNECT
}
