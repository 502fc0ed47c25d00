//! Sockets by their inode: the addresses at both ends.
//!
//! In: a thread, whose network's tables are read up to a bound. Out: `tcp HERE → PEER`, `udp HERE`,
//! `unix PATH`; nothing for other families, and for sockets beyond the bound.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::networks::{has_address, network, table};
use crate::machine;

/// Bytes of a path: `sun_path`.
pub const UNIX_PATH: usize = 108;
/// `TCP_LISTEN`, `TCP_SYN_SENT`; `TCP_ESTABLISHED`, `TCP_CLOSE_WAIT` of include/net/tcp_states.h.
const LISTENS: &str = "0A";
const ASKS: &str = "02";
const OPEN: [&str; 2] = ["01", "08"];

/// The tables that were read, by network and name.
#[derive(Default)]
pub struct Sockets {
    connections: HashMap<(String, &'static str), Connections>,
    unix: HashMap<String, UnixNames>,
}

impl Sockets {
    /// What the socket of that inode is in the thread's network.
    pub fn find(&mut self, thread: &str, inode: u64) -> Option<String> {
        let network = network(thread)?;
        for name in ["tcp", "tcp6", "udp", "udp6"] {
            if let Some(ends) = self.connections(thread, (&network, name)).by_inode.get(&inode) {
                return Some(format!("{} {ends}", name.trim_end_matches('6')));
            }
        }
        let read = || UnixNames::parse(&table(thread, "unix"));
        self.unix.entry(network).or_insert_with(read).name(inode)
    }

    /// The socket that has both addresses of a TCP connection the other way round, in the thread's network; while nobody has
    /// accepted or answered it, the one that listens.
    pub fn facing(&mut self, thread: &str, here: SocketAddr, peer: SocketAddr) -> Option<u64> {
        let network = network(thread)?;
        let tables = ["tcp", "tcp6"];
        let facing = |name| self.connections(thread, (&network, name)).facing(here, peer);
        if let Some(inode) = tables.into_iter().find_map(facing) {
            return Some(inode);
        }
        let listening = |name| self.connections(thread, (&network, name)).listening(peer);
        let listens = tables.into_iter().find_map(listening)?;
        let answers = self.is_asking(thread, (here, peer)) && has_address(thread, peer.ip());
        answers.then_some(listens)
    }

    /// Whether somebody listens at this address, in the thread's network.
    pub fn listens_at(&mut self, thread: &str, at: SocketAddr) -> bool {
        let Some(network) = network(thread) else { return false };
        ["tcp", "tcp6"].iter().any(|name| self.connections(thread, (&network, name)).listening(at).is_some())
    }

    /// Whether a connection is being asked for, and not answered yet.
    pub fn is_asking(&mut self, thread: &str, ends: (SocketAddr, SocketAddr)) -> bool {
        let Some(network) = network(thread) else { return false };
        ["tcp", "tcp6"].iter().any(|name| self.connections(thread, (&network, name)).asking.contains(&ends))
    }

    fn connections(&mut self, thread: &str, (network, name): (&str, &'static str)) -> &Connections {
        let key = (network.to_owned(), name);
        self.connections.entry(key).or_insert_with(|| Connections::parse(&table(thread, name)))
    }
}

/// Both ends of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    here: SocketAddr,
    peer: SocketAddr,
    listens: bool,
    /// Asked for, and not answered yet.
    asks: bool,
    /// Open at both ends, as far as this end knows.
    is_open: bool,
}

impl fmt::Display for Ends {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            _ if self.listens => write!(out, "{} listening", self.here),
            peer if peer.port() == 0 && peer.ip().is_unspecified() => write!(out, "{}", self.here),
            peer => write!(out, "{} → {peer}", self.here),
        }
    }
}

/// The sockets of one protocol in one network.
#[derive(Default)]
pub struct Connections {
    by_inode: HashMap<u64, Ends>,
    by_ends: HashMap<(SocketAddr, SocketAddr), u64>,
    /// Open connections that no process has: nobody accepted them yet.
    unaccepted: HashSet<(SocketAddr, SocketAddr)>,
    /// Connections that are asked for, and not answered yet.
    asking: HashSet<(SocketAddr, SocketAddr)>,
    /// Sockets that listen, by port.
    listeners: HashMap<u16, Vec<(SocketAddr, u64)>>,
}

impl Connections {
    /// Of the text of `/proc/net/tcp` and its like.
    pub fn parse(table: &str) -> Self {
        let mut found = Self::default();
        for (inode, ends) in table.lines().skip(1).filter_map(ends) {
            let pair = (ends.here, ends.peer);
            // Without an inode it is no process's: closed by it, or not accepted yet.
            if inode == 0 {
                found.unaccepted.extend(ends.is_open.then_some(pair));
                continue;
            }
            found.by_inode.entry(inode).or_insert(ends);
            found.asking.extend(ends.asks.then_some(pair));
            if ends.listens {
                found.listeners.entry(ends.here.port()).or_default().push((ends.here, inode));
            } else {
                found.by_ends.entry(pair).or_insert(inode);
            }
        }
        found
    }

    /// The socket that has both addresses the other way round; while nobody has accepted the connection, the
    /// one that listens.
    pub fn facing(&self, here: SocketAddr, peer: SocketAddr) -> Option<u64> {
        let pair = (peer, here);
        let unaccepted = || self.listening(peer).filter(|_| self.unaccepted.contains(&pair));
        self.by_ends.get(&pair).copied().or_else(unaccepted)
    }

    /// The socket that listens at this address, or at all of its network.
    pub fn listening(&self, at: SocketAddr) -> Option<u64> {
        let hears = |own: &SocketAddr| own.ip() == at.ip() || own.ip().is_unspecified();
        self.listeners.get(&at.port())?.iter().find(|(own, _)| hears(own)).map(|(_, inode)| *inode)
    }
}

/// `sl local_address rem_address st … uid timeout inode …`.
fn ends(line: &str) -> Option<(u64, Ends)> {
    let mut fields = line.split_ascii_whitespace();
    let (here, peer, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
    let inode = fields.nth(5)?.parse().ok()?;
    let (here, peer) = (address(here)?, address(peer)?);
    let [listens, asks] = [LISTENS, ASKS].map(|wanted| state == wanted);
    Some((inode, Ends { here, peer, listens, asks, is_open: OPEN.contains(&state) }))
}

/// An address in hexadecimal words, each as the processor keeps it in memory, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let mut bytes = Vec::with_capacity(16);
    for at in (0..words.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(words.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

/// The unix sockets of a network.
pub(super) struct UnixNames(HashMap<u64, Option<String>>);

impl UnixNames {
    /// `Num RefCount Protocol Flags Type St Inode Path`. A path is what its owner wants, lines that look like
    /// another socket's too: what is there twice is nobody's.
    pub(super) fn parse(table: &str) -> Self {
        let mut names = HashMap::new();
        for line in table.lines().skip(1) {
            let Some(own) = line.split_ascii_whitespace().nth(6) else { continue };
            let Ok(inode) = own.parse::<u64>() else { continue };
            let path = line.split_once(&format!(" {own} ")).map(|(_, path)| machine::line(path, UNIX_PATH));
            names.entry(inode).and_modify(|name| *name = None).or_insert(path);
        }
        Self(names)
    }

    pub(super) fn name(&self, inode: u64) -> Option<String> {
        Some(match self.0.get(&inode)? {
            Some(path) => format!("unix {path}"),
            None => format!("unix socket:[{inode}]"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIX: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n\
        0000000000000000: 00000002 00000000 00010000 0001 01  7001 /run/a b.sock\n\
        0000000000000000: 00000003 00000000 00000000 0001 03 17002\n\
        0000000000000000: 00000002 00000000 00010000 0001 01 17003 /run/x\n\
        0000000000000000: 00000002 00000000 00010000 0001 01 17003 /run/forged\n";

    #[test]
    fn a_path_is_whole_and_a_forged_line_names_nobody() {
        assert_eq!(UnixNames::parse(UNIX).name(7001).unwrap(), "unix /run/a b.sock");
        assert_eq!(UnixNames::parse(UNIX).name(17002).unwrap(), "unix socket:[17002]");
        assert_eq!(UnixNames::parse(UNIX).name(17003).unwrap(), "unix socket:[17003]");
        assert_eq!(UnixNames::parse(UNIX).name(3), None);
    }

    #[test]
    fn the_other_end_has_both_addresses_the_other_way_round() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 70 1 0 100 0\n\
            1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 71 1 0 20 4\n\
            2: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000 0 0 72 1 0 20 4\n\
            3: 0100007F:1F90 0100007F:D432 06 00000000:00000000 03:00000000 00000000 0 0 0 3 0\n\
            4: 0100007F:1F90 0100007F:D433 01 00000000:00000001 00:00000000 00000000 0 0 0 3 0\n\
            5: 0100007F:D434 0100007F:1F90 02 00000000:00000001 00:00000000 00000000 0 0 73 3 0\n";
        let found = Connections::parse(table);
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(found.facing(at(0xD431), at(0x1F90)), Some(71));
        assert_eq!(found.facing(at(0x1F90), at(0xD431)), Some(72));
        assert_eq!(found.facing(at(0xD432), at(0x1F90)), None, "closed: nobody has it any more");
        assert_eq!(found.facing(at(0xD433), at(0x1F90)), Some(70), "not accepted: who listens has it");
        assert_eq!(found.facing(at(0xD434), at(0x1F90)), None, "not answered: it may be elsewhere");
        assert_eq!(found.asking, HashSet::from([(at(0xD434), at(0x1F90))]));
        assert_eq!((found.listening(at(0x1F90)), found.listening(at(0x1F91))), (Some(70), None));
        assert_eq!(found.by_inode[&70].to_string(), "127.0.0.1:8080 listening");
        assert_eq!(found.by_inode[&72].to_string(), "127.0.0.1:54321 → 127.0.0.1:8080");
    }

    #[test]
    fn addresses_that_make_no_sense_are_none() {
        assert_eq!(address("0100007F:1F90").unwrap().to_string(), "127.0.0.1:8080");
        let mapped = "0000000000000000FFFF00000100007F:0050";
        assert_eq!(address(mapped).unwrap().to_string(), "127.0.0.1:80");
        for wrong in ["", ":", "0100007F", "0100007:1F90", "0100007F:1F900", "0100007F0:1", "é0100007F:1"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
