//! The other end of TCP connections: the socket of this machine that has both addresses the other way round, that
//! listens for a connection which nobody accepted, or that should answer one that is being asked for.
//!
//! In: connections, each with a thread whose network it is in. Out: the inode of the other socket, also in another
//! network; nothing for other machines.

use std::net::SocketAddr;
use std::time::Instant;

use super::networks::{self, table};
use super::socket::{Connections, Sockets};

/// A connection, and a thread that is in its network.
pub struct Asked<'a> {
    /// `/proc/PID/task/TID`.
    pub thread: &'a str,
    /// Both ends.
    pub ends: (SocketAddr, SocketAddr),
}

/// Both addresses of `tcp HERE → PEER`.
pub fn ends(object: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (here, peer) = object.strip_prefix("tcp ")?.split_once(" → ")?;
    Some((here.parse().ok()?, peer.parse().ok()?))
}

/// The other sockets, in the order of those that are asked about.
pub fn find(asked: &[Asked<'_>], sockets: &mut Sockets, end: Instant) -> Vec<Option<u64>> {
    let mut found: Vec<Option<u64>> =
        asked.iter().map(|one| sockets.facing(one.thread, one.ends.0, one.ends.1)).collect();
    // Each network has a loopback of its own.
    let is_elsewhere = |place: &usize| found[*place].is_none() && !asked[*place].ends.1.ip().is_loopback();
    let mut left: Vec<(usize, bool)> = (0..asked.len())
        .filter(is_elsewhere)
        .map(|place| (place, sockets.is_asking(asked[place].thread, asked[place].ends)))
        .collect();
    if left.is_empty() {
        return found;
    }
    for process in networks::each(end) {
        let tables = ["tcp", "tcp6"].map(|name| Connections::parse(&table(&process, name)));
        left.retain(|&(place, is_asking)| {
            found[place] = in_network(&process, &tables, asked[place].ends, is_asking);
            found[place].is_none()
        });
    }
    found
}

/// The other socket in the network that a process is in.
fn in_network(
    process: &str,
    tables: &[Connections],
    (here, peer): (SocketAddr, SocketAddr),
    is_asking: bool,
) -> Option<u64> {
    let facing = tables.iter().find_map(|connections| connections.facing(here, peer));
    // Who does not answer may have no trace of it, as when its queue is full: then the address tells.
    facing.or_else(|| {
        let listens =
            tables.iter().find_map(|connections| connections.listening(peer)).filter(|_| is_asking)?;
        networks::has_address(process, peer.ip()).then_some(listens)
    })
}
