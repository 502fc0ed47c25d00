//! The networks of this machine, each by a process that is in it, and the addresses that they have.
//!
//! In: procfs. Out: up to [`NETWORKS`] networks; whether an address is one of a network's own.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use crate::machine;
use crate::profile::Pid;

/// Bytes read of one table: some 25,000 connections.
const TABLE_MAX: u64 = 4 << 20;
/// How many networks are looked at, at most.
const NETWORKS: usize = 512;

/// The network that a thread or process is in, as its link says.
pub fn network(thread: &str) -> Option<String> {
    Some(std::fs::read_link(format!("{thread}/ns/net")).ok()?.to_string_lossy().into_owned())
}

/// A table of the network that a thread or process is in.
pub fn table(thread: &str, name: &str) -> String {
    machine::read(&format!("{thread}/net/{name}"), TABLE_MAX).unwrap_or_default()
}

/// The processes of this machine but this one.
pub fn processes() -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid));
    let own = Pid(std::process::id());
    pids.filter(|pid| *pid != own).collect()
}

/// Of each network the directory of a process that is in it (`/proc/PID`), as far as there is time.
pub fn each(end: Instant) -> impl Iterator<Item = String> {
    let mut seen = HashSet::new();
    let places = processes().into_iter().take_while(move |_| Instant::now() < end);
    let places = places.map(|pid| format!("/proc/{}", pid.0));
    places.filter(move |place| network(place).is_some_and(|network| seen.insert(network))).take(NETWORKS)
}

/// Whether the network that a process is in has this address. That of a loopback is each network's own.
pub fn has_address(process: &str, ip: IpAddr) -> bool {
    match ip {
        _ if ip.is_loopback() => true,
        IpAddr::V4(_) => has_v4(&table(process, "fib_trie"), ip),
        IpAddr::V6(ip) => has_v6(&table(process, "if_inet6"), ip),
    }
}

/// `|-- ADDRESS`, and below it, what it is for: `/32 host LOCAL` is an address of this network.
fn has_v4(routes: &str, ip: IpAddr) -> bool {
    let wanted = format!("|-- {ip}");
    let mut lines = routes.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line == wanted && lines.next() == Some("/32 host LOCAL") {
            return true;
        }
    }
    false
}

/// `ADDRESS INDEX PREFIX SCOPE FLAGS DEVICE`, each in hexadecimal.
fn has_v6(addresses: &str, ip: Ipv6Addr) -> bool {
    let wanted = format!("{:032x}", u128::from(ip));
    addresses.lines().any(|line| line.split_ascii_whitespace().next() == Some(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Main:\n  +-- 192.0.2.0/24 2 0 2\n     |-- 192.0.2.0\n        /24 link UNICAST\n     \
        |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n";

    #[test]
    fn an_address_is_a_networks_own_where_its_routes_end_there() {
        let has = |ip: &str| has_v4(ROUTES, ip.parse().unwrap());
        assert!(has("192.0.2.2"));
        assert!(!has("192.0.2.255") && !has("192.0.2.0") && !has("192.0.2.22") && !has("10.0.0.1"));
        let own = "fd000000000000000000000000000002 04 40 00 82     eth0\n";
        assert!(has_v6(own, "fd00::2".parse().unwrap()));
        assert!(!has_v6(own, "fd00::3".parse().unwrap()) && !has_v6("", "fd00::2".parse().unwrap()));
    }

    #[test]
    fn a_loopback_is_each_networks_own_and_no_network_is_there_twice() {
        let own = format!("/proc/{}", std::process::id());
        assert!(has_address(&own, IpAddr::from([127, 0, 0, 9])));
        assert!(!has_address(&own, IpAddr::from([203, 0, 113, 9])));
        let end = Instant::now() + std::time::Duration::from_secs(60);
        let networks: Vec<_> = each(end).filter_map(|process| network(&process)).collect();
        let mut once = networks.clone();
        once.sort();
        once.dedup();
        assert!(!networks.is_empty() && once.len() == networks.len(), "{networks:?}");
    }
}
