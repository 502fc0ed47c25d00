//! Connections of event loops to servers that cannot answer. Who serves many with one thread hangs in no call: a server behind it
//! that is stopped shows only here.
//!
//! In: threads that wait for a set of descriptors (`epoll`). Out: for each, its connections to processes of this machine that are
//! stopped or frozen, if it asked for them; a server's clients may be stopped, and it is none the worse for it.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::networks::processes;
use super::other_end::{self, Found};
use super::socket::Sockets;
use super::{tcp_peer, unix_peer};
use crate::machine;
use crate::machine::frozen::Freezers;
use crate::profile::Pid;
use crate::profile::in_flight::is_silent;

/// Sets that are looked at, and descriptors of each, at most.
const SETS: usize = 64;
const DESCRIPTORS: usize = 1024;
/// Bytes of what the kernel tells of a set.
const SET_BYTES: u64 = 256 << 10;

/// A set of descriptors.
pub struct Set<'a> {
    /// `/proc/PID/task/TID` of who waits for it.
    pub thread: &'a str,
    /// Its descriptor.
    pub number: i32,
}

/// What of a set cannot be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silent {
    /// One of the connections, and how many more: `tcp HERE → PEER and 2 more`.
    pub object: String,
    /// Who has their other ends.
    pub found: Found,
}

/// Processes that have a socket, with their states.
type Holders = [(Pid, char)];

/// A connection in one of the sets.
struct Connection<'a> {
    of: usize,
    thread: &'a str,
    inode: u64,
    object: String,
}

/// What of each of these sets cannot be answered, in their order.
pub fn silent(sets: &[Set<'_>], sockets: &mut Sockets, end: Instant) -> Vec<Option<Silent>> {
    let mut found = vec![None; sets.len()];
    let holders = if sets.is_empty() { HashMap::new() } else { silent_holders(end) };
    if holders.is_empty() {
        return found;
    }
    let connections = connections(sets, sockets, end);
    let mut by_set: HashMap<usize, Vec<(&str, &Holders)>> = HashMap::new();
    for (connection, inode) in connections.iter().zip(others(&connections, sockets, end)) {
        let Some(holders) = inode.and_then(|inode| holders.get(&inode)) else { continue };
        by_set.entry(connection.of).or_default().push((&connection.object, holders));
    }
    for (of, silent) in by_set {
        found[of] = Some(told(&silent));
    }
    found
}

/// The sockets of processes that are stopped or frozen, by inode.
fn silent_holders(end: Instant) -> HashMap<u64, Vec<(Pid, char)>> {
    let mut freezers = Freezers::default();
    let mut holders: HashMap<u64, Vec<(Pid, char)>> = HashMap::new();
    for pid in processes().into_iter().take_while(|_| Instant::now() < end) {
        let state = other_end::state(pid, &mut freezers);
        if !is_silent(state) {
            continue;
        }
        for inode in other_end::sockets(pid, end) {
            holders.entry(inode).or_default().push((pid, state));
        }
    }
    holders
}

/// The connections that are asked for, in all sets; a set that several threads wait for is looked at once.
fn connections<'a>(sets: &[Set<'a>], sockets: &mut Sockets, end: Instant) -> Vec<Connection<'a>> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for (of, set) in sets.iter().enumerate() {
        let link = std::fs::read_link(format!("{}/fd/{}", set.thread, set.number));
        let process = set.thread.split("/task/").next().unwrap_or_default();
        if link.is_err() || seen.len() >= SETS || !seen.insert((process, set.number)) {
            continue;
        }
        let told = machine::read(&format!("{}/fdinfo/{}", set.thread, set.number), SET_BYTES);
        for number in watched(&told.unwrap_or_default()).take_while(|_| Instant::now() < end) {
            let Some(inode) = other_end::inode(set.thread, number) else { continue };
            let Some(object) = sockets.find(set.thread, inode) else { continue };
            if is_asked_for(&object, set.thread, sockets) {
                found.push(Connection { of, thread: set.thread, inode, object });
            }
        }
    }
    found
}

/// `tfd: NUMBER events: … data: … pos:…`, a line for each descriptor.
fn watched(told: &str) -> impl Iterator<Item = i32> {
    let number = |line: &str| line.strip_prefix("tfd:")?.split_ascii_whitespace().next()?.parse().ok();
    told.lines().filter_map(number).take(DESCRIPTORS)
}

/// Whether this end is the client's.
fn is_asked_for(object: &str, thread: &str, sockets: &mut Sockets) -> bool {
    match tcp_peer::ends(object) {
        Some((here, _)) => !sockets.listens_at(thread, here),
        None => other_end::is_unnamed(object),
    }
}

/// The sockets at the other ends, in the order of the connections.
fn others(connections: &[Connection<'_>], sockets: &mut Sockets, end: Instant) -> Vec<Option<u64>> {
    let mut found = vec![None; connections.len()];
    let all = || connections.iter().enumerate();
    let tcp: Vec<_> = all().filter_map(|(at, one)| Some((at, tcp_peer::ends(&one.object)?))).collect();
    let asked: Vec<_> = tcp
        .iter()
        .map(|(at, ends)| tcp_peer::Asked { thread: connections[*at].thread, ends: *ends })
        .collect();
    for ((at, _), inode) in tcp.iter().zip(tcp_peer::find(&asked, sockets, end)) {
        found[*at] = inode;
    }
    let unix: Vec<_> = all().filter(|(_, one)| one.object.starts_with("unix ")).collect();
    let asked: Vec<_> = unix
        .iter()
        .map(|(_, one)| unix_peer::Asked { thread: one.thread, inode: one.inode, to: None, is_unnamed: true })
        .collect();
    for ((at, _), other) in unix.iter().zip(unix_peer::find(&asked, sockets, end)) {
        found[*at] = other.map(|other| other.inode);
    }
    found
}

fn told(silent: &[(&str, &Holders)]) -> Silent {
    let mut ends: Vec<(Pid, char)> = silent.iter().flat_map(|(_, holders)| *holders).copied().collect();
    ends.sort_unstable();
    ends.dedup();
    let mut found = Found::default();
    ends.into_iter().for_each(|(pid, state)| found.add(pid, state));
    let first = silent.first().map_or("", |(object, _)| object);
    let object = match silent.len() {
        0 | 1 => first.to_owned(),
        count => format!("{first} and {} more", count - 1),
    };
    Silent { object, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_names_its_descriptors() {
        let told = "pos:\t0\nflags:\t02\ntfd:        5 events:       19 data: 5  pos:0 ino:4 sdev:9\n\
            tfd:       12 events: 1 data: 0\ntfd: x\n";
        assert_eq!(watched(told).collect::<Vec<_>>(), [5, 12]);
        let many: String = (0..2000).map(|number| format!("tfd: {number}\n")).collect();
        assert_eq!(watched(&many).count(), DESCRIPTORS);
    }

    #[test]
    fn several_connections_are_told_by_one_and_their_processes_once() {
        let (one, both) = ([(Pid(7), 'T')], [(Pid(7), 'T'), (Pid(3), 'F')]);
        let silent = told(&[("tcp a → b", &one[..]), ("tcp c → d", &both[..])]);
        assert_eq!(silent.object, "tcp a → b and 1 more");
        assert_eq!(silent.found.ends.iter().map(|end| end.pid.0).collect::<Vec<_>>(), [3, 7]);
        assert_eq!(told(&[("tcp a → b", &one)]).object, "tcp a → b");
    }
}
