//! The `peer` probe's records.
//!
//! In: TCP connections that a thread receives from and sends to. Out: rows of calls that slept until they received something, per
//! (process, call, peer); CPU samples per (stack, peer), and how far these peers are believed; the last peer of a thread that dies.

use crate::histogram::SLOTS;

/// As [`LastReceive::nr`]: the thread received outside of any call that is followed.
pub const NO_CALL: u32 = u32::MAX;

/// The call that waits for many connections at once: what it received last was not what it waited for.
pub const IO_URING_ENTER: u32 = 426;

/// In [`PeerKey::flags`]: the process connected to the peer, by a port that the kernel chose. Without it the connection was
/// accepted, or its own port was bound by hand.
pub const CONNECTED: u8 = 1;

/// Key of a row of receives.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey {
    /// The peer's address as IPv6 has it, in memory order; of IPv4 mapped (`::ffff:a.b.c.d`).
    pub address: [u64; 2],
    /// Process.
    pub tgid: u32,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
    /// The peer's port; 0 unless [`CONNECTED`], because a client's port is chosen anew for each connection.
    pub port: u16,
    /// System call, its short number (see [`crate::abi`]).
    pub nr: u16,
    /// Octave of the wait.
    pub octave: u8,
    /// [`CONNECTED`].
    pub flags: u8,
    /// Explicit padding.
    pub pad: u16,
}
crate::shared_record!(PeerKey, 32);

/// Calls of one [`PeerKey`]. Each slept before it received.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerRow {
    /// Calls by how long they slept.
    pub slots: [u32; SLOTS],
    /// Sum of the sleeps, ns.
    pub wait_ns: u64,
    /// The longest call's sleep, ns.
    pub wait_max_ns: u64,
    /// Sum of the calls' wall times, ns.
    pub wall_ns: u64,
    /// Sum of the connections' shortest round trips, as the kernel had them when data came, µs.
    pub round_trip_us: u64,
}
crate::shared_record!(PeerRow, 64);

/// Key of a row of CPU samples whose thread had received.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleKey {
    /// From whom it received last, as [`PeerKey::address`]. Each connection of a client has a port of its own, so there is none.
    pub address: [u64; 2],
    /// The sample.
    pub sample: crate::sample::SampleKey,
}
crate::shared_record!(SampleKey, 40);

/// Key of a row of sends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendKey {
    /// Process.
    pub tgid: u32,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
}
crate::shared_record!(SendKey, 8);

/// Sends of threads that had received, each compared with the connection that its thread received from last.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendRow {
    /// Sends.
    pub sends: u64,
    /// Of these, to another connection.
    pub astray: u64,
    /// CPU samples between a receive and the send after it.
    pub samples: u64,
    /// Of these, before a send to another connection.
    pub samples_astray: u64,
}
crate::shared_record!(SendRow, 32);

/// What a thread received last.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastReceive {
    /// As [`PeerKey::address`].
    pub address: [u64; 2],
    /// When, monotonic ns; 0: it received nothing.
    pub time_ns: u64,
    /// The peer's port.
    pub port: u32,
    /// The call, its short number, or [`NO_CALL`].
    pub nr: u32,
}
crate::shared_record!(LastReceive, 32);

/// An address of IPv4, in memory order, as [`PeerKey::address`].
#[inline(always)]
pub const fn mapped(address: u32) -> [u64; 2] {
    [0, u32::from_be(0xffff) as u64 | (address as u64) << 32]
}

/// Where the fields of a TCP socket are (bytes from the start of their struct).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerOffsets {
    /// `sock.__sk_common.skc_family`.
    pub family: u32,
    /// `sock.__sk_common.skc_daddr`.
    pub address: u32,
    /// `sock.__sk_common.skc_v6_daddr`; 0: the kernel has no IPv6.
    pub address_v6: u32,
    /// `sock.__sk_common.skc_dport`.
    pub port: u32,
    /// `sock.sk_lock.owned`.
    pub owned: u32,
    /// The value of `tcp_sock.rtt_min`; 0: not known.
    pub round_trip: u32,
    /// `inet_connection_sock.icsk_bind_hash`; 0: who connected is not known.
    pub bucket: u32,
    /// `inet_bind_bucket.fastreuse`.
    pub reuse: u32,
    /// `sock.sk_protocol`.
    pub protocol: u32,
    /// 1: all of this is known.
    pub known: u32,
}
crate::shared_record!(PeerOffsets, 40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv4_is_mapped_in_memory_order() {
        let words = mapped(u32::from_ne_bytes([10, 0, 0, 7])).map(u64::to_ne_bytes);
        assert_eq!(words, [[0; 8], [0, 0, 0xff, 0xff, 10, 0, 0, 7]]);
    }
}
