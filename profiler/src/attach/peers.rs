//! The offsets at which the program of receives reads fields.
//!
//! In: the kernel's types. Out: the shared record; none if the kernel lacks a field that every peer needs.

pub use profiler_common::peer::PeerOffsets;

use super::btf::Types;

/// The types that it takes.
pub const WANTED: &[&str] = &["sock", "sock_common", "tcp_sock", "inet_connection_sock", "inet_bind_bucket"];

/// In a `struct minmax`: the value of the first of its pairs of time and value (include/linux/win_minmax.h).
const FIRST_VALUE: u32 = 4;

/// All of them.
pub fn offsets(types: &Types<'_>) -> Option<PeerOffsets> {
    // The common part is the first of a socket.
    let start = types.offset("sock", "__sk_common")?;
    let common = |member| types.offset("sock_common", member).map(|offset| start + offset);
    let offsets = PeerOffsets {
        family: common("skc_family")?,
        address: common("skc_daddr")?,
        address_v6: common("skc_v6_daddr").unwrap_or(0),
        port: common("skc_dport")?,
        owned: types.offset_inside("sock", "sk_lock", "owned")?,
        round_trip: types.offset("tcp_sock", "rtt_min").map_or(0, |offset| offset + FIRST_VALUE),
        protocol: types.offset("sock", "sk_protocol").unwrap_or(0),
        known: 1,
        ..PeerOffsets::default()
    };
    Some(connections(types, offsets).unwrap_or(offsets))
}

/// Which end of a connection a socket is.
fn connections(types: &Types<'_>, offsets: PeerOffsets) -> Option<PeerOffsets> {
    Some(PeerOffsets {
        bucket: types.offset("inet_connection_sock", "icsk_bind_hash")?,
        reuse: types.offset("inet_bind_bucket", "fastreuse")?,
        ..offsets
    })
}
