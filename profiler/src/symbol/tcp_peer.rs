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

/// The other socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its inode.
    pub inode: u64,
    /// Somebody listens at its address: this end asked for the connection.
    pub listens: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Answers {
    /// The other sockets, in the order of those that are asked about.
    pub others: Vec<Option<Other>>,
    /// Places of those that may be in a network which was not looked at in time.
    pub cut: Vec<usize>,
}

/// The other sockets. Other networks get half of the time that is left: who has the sockets is still to be found.
pub fn find(asked: &[Asked<'_>], sockets: &mut Sockets, end: Instant) -> Answers {
    let own = |one: &Asked<'_>| {
        let (here, peer) = one.ends;
        let inode = sockets.facing(one.thread, here, peer).filter(|_| Instant::now() < end)?;
        Some(Other { inode, listens: sockets.listens_at(one.thread, peer) })
    };
    let mut others: Vec<Option<Other>> = asked.iter().map(own).collect();
    // Each network has a loopback of its own.
    let is_elsewhere = |place: &usize| others[*place].is_none() && !asked[*place].ends.1.ip().is_loopback();
    let mut left: Vec<(usize, bool)> = (0..asked.len())
        .filter(is_elsewhere)
        .map(|place| (place, sockets.is_asking(asked[place].thread, asked[place].ends)))
        .collect();
    let half = Instant::now() + end.saturating_duration_since(Instant::now()) / 2;
    for process in if left.is_empty() { None } else { Some(networks::each(half)) }.into_iter().flatten() {
        let tables = ["tcp", "tcp6"].map(|name| Connections::parse(&table(&process, name)));
        left.retain(|&(place, is_asking)| {
            others[place] = in_network(&process, &tables, asked[place].ends, is_asking);
            others[place].is_none()
        });
        if left.is_empty() {
            break;
        }
    }
    let cut =
        if Instant::now() < half { Vec::new() } else { left.into_iter().map(|(place, _)| place).collect() };
    Answers { others, cut }
}

/// The other socket in the network that a process is in.
fn in_network(
    process: &str,
    tables: &[Connections],
    (here, peer): (SocketAddr, SocketAddr),
    is_asking: bool,
) -> Option<Other> {
    let listening = tables.iter().find_map(|connections| connections.listening(peer));
    let facing = tables.iter().find_map(|connections| connections.facing(here, peer));
    // Who does not answer may have no trace of it, as when its queue is full: then the address tells.
    let answers = || listening.filter(|_| is_asking && networks::has_address(process, peer.ip()));
    Some(Other { inode: facing.or_else(answers)?, listens: listening.is_some() })
}
