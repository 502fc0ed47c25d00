//! Sockets by their inode: the addresses at both ends.
//!
//! In: a thread, whose network's tables are read up to a bound. Out: `tcp HERE → PEER`, `udp HERE`,
//! `unix PATH`; nothing for other families, and for sockets beyond the bound.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::machine;

/// Bytes read of one table: some 25,000 connections.
const TABLE_MAX: u64 = 4 << 20;
/// Bytes of a path: `sun_path`.
const PATH_MAX: usize = 108;
/// `TCP_LISTEN` of include/net/tcp_states.h.
const LISTENS: &str = "0A";

/// The tables that were read, by network and name.
#[derive(Default)]
pub struct Sockets(HashMap<(String, &'static str), String>);

impl Sockets {
    /// What the socket of that inode is in the thread's network.
    pub fn find(&mut self, thread: &str, inode: u64) -> Option<String> {
        let network = std::fs::read_link(format!("{thread}/ns/net")).ok()?.to_string_lossy().into_owned();
        for name in ["tcp", "tcp6", "udp", "udp6"] {
            if let Some(ends) = ends(self.table(thread, (&network, name)), inode) {
                return Some(format!("{} {ends}", name.trim_end_matches('6')));
            }
        }
        unix(self.table(thread, (&network, "unix")), inode)
    }

    fn table(&mut self, thread: &str, (network, name): (&str, &'static str)) -> &str {
        let read = || machine::read(&format!("{thread}/net/{name}"), TABLE_MAX).unwrap_or_default();
        self.0.entry((network.to_owned(), name)).or_insert_with(read)
    }
}

/// `sl local_address rem_address st … uid timeout inode …`.
pub(super) fn ends(table: &str, inode: u64) -> Option<String> {
    let inode = inode.to_string();
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (here, peer, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
        (fields.nth(5)? == inode).then_some(())?;
        let (here, peer) = (address(here)?, address(peer)?);
        Some(match peer {
            _ if state == LISTENS => format!("{here} listening"),
            peer if peer.port() == 0 && peer.ip().is_unspecified() => here.to_string(),
            peer => format!("{here} → {peer}"),
        })
    })
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

/// `Num RefCount Protocol Flags Type St Inode Path`. A path is what its owner wants, lines that look like
/// another socket's too: what is there twice is nobody's.
pub(super) fn unix(table: &str, inode: u64) -> Option<String> {
    let own = inode.to_string();
    let is_own = |line: &&str| line.split_ascii_whitespace().nth(6) == Some(&own);
    let mut lines = table.lines().skip(1).filter(is_own);
    let (line, another) = (lines.next()?, lines.next());
    let path = line.split_once(&format!(" {own} ")).map(|(_, path)| machine::line(path, PATH_MAX));
    Some(match path {
        Some(path) if another.is_none() => format!("unix {path}"),
        _ => format!("unix socket:[{own}]"),
    })
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
        assert_eq!(unix(UNIX, 7001).unwrap(), "unix /run/a b.sock");
        assert_eq!(unix(UNIX, 17002).unwrap(), "unix socket:[17002]");
        assert_eq!(unix(UNIX, 17003).unwrap(), "unix socket:[17003]");
        assert_eq!(unix(UNIX, 3), None);
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
