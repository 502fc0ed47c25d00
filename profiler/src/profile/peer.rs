//! Peers: the other ends of connections.
//!
//! In: addresses as the kernel keeps them. Out: text, `10.0.0.7:5432` or `[2001:db8::1]:443`; an IPv4 address
//! that is mapped into IPv6 is written as IPv4.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Where a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// At an address.
    Ip(IpAddr),
    /// At one that was redacted: its number in the place of it.
    Redacted(u32),
    /// At one of many, which were too many to keep.
    Others,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Where it is.
    pub host: Host,
    /// Its port; 0: not kept.
    pub port: u16,
}

impl Peer {
    /// Of the kernel's words, in memory order.
    pub fn of([first, second]: [u64; 2], port: u16) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&first.to_ne_bytes());
        bytes[8..].copy_from_slice(&second.to_ne_bytes());
        Self { host: Host::Ip(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()), port }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => write!(formatter, "{ip}"),
            Self::Redacted(number) => write!(formatter, "address-{number}"),
            Self::Others => formatter.write_str("others"),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host, self.port) {
            (host, 0) => write!(formatter, "{host}"),
            (Host::Ip(ip), port) => write!(formatter, "{}", SocketAddr::new(ip, port)),
            (host, port) => write!(formatter, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: [u8; 16], port: u16) -> String {
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Peer::of([word(0), word(8)], port).to_string()
    }

    #[test]
    fn addresses_are_text_and_mapped_ones_are_of_ipv4() {
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 7];
        assert_eq!((text(mapped, 5432), text(mapped, 0)), ("10.0.0.7:5432".into(), "10.0.0.7".into()));
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!((text(v6, 443), text(v6, 0)), ("[2001:db8::1]:443".into(), "2001:db8::1".into()));
        let redacted = Peer { host: Host::Redacted(3), port: 80 };
        assert_eq!(
            (redacted.to_string(), Host::Others.to_string()),
            ("address-3:80".into(), "others".into())
        );
    }
}
