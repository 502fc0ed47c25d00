//! Connections of event loops to servers that cannot answer. Who serves many with one thread hangs in no call: a server behind it
//! that is stopped shows only here.
//!
//! In: threads that wait for a set of descriptors (`epoll`). Out: for each, its connections to processes of this machine that are
//! stopped or frozen, if it asked for them; a server's clients may be stopped, and it is none the worse for it.

use std::collections::{BTreeMap, HashSet};
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
    /// Process of who waits for it.
    pub pid: Pid,
    /// `/proc/PID/task/TID`.
    pub thread: &'a str,
    /// Its descriptor.
    pub number: i32,
}

/// What of a set cannot be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silent {
    /// One of the connections, and how many more: `tcp HERE → PEER and 2 more`.
    pub object: String,
    /// Why it is not known whether there is one.
    pub unknown: &'static str,
    /// Who has their other ends.
    pub found: Found,
}

/// A connection in one of the sets.
struct Connection<'a> {
    of: usize,
    thread: &'a str,
    inode: u64,
    object: String,
}

/// What of each of these sets cannot be answered, in their order.
pub fn silent(sets: &[Set<'_>], sockets: &mut Sockets, end: Instant) -> Vec<Option<Silent>> {
    let silent = if sets.is_empty() { HashSet::new() } else { silent_sockets(end) };
    // Most machines have none.
    let mut found =
        if silent.is_empty() { vec![None; sets.len()] } else { by_set(sets, &silent, sockets, end) };
    if Instant::now() >= end {
        let unknown = "not all of its connections could be looked at in time";
        for found in found.iter_mut().filter(|found| found.is_none()) {
            *found = Some(Silent { unknown, ..Silent::default() });
        }
    }
    found
}

/// The sockets that a process has which is stopped or frozen, and perhaps another one, too.
fn silent_sockets(end: Instant) -> HashSet<u64> {
    let mut freezers = Freezers::default();
    let running = |_: &Pid| Instant::now() < end;
    let silent = processes().into_iter().take_while(running);
    let silent = silent.filter(|pid| is_silent(other_end::state(*pid, &mut freezers)));
    silent.flat_map(|pid| other_end::sockets(pid, end)).collect()
}

fn by_set(
    sets: &[Set<'_>],
    silent: &HashSet<u64>,
    sockets: &mut Sockets,
    end: Instant,
) -> Vec<Option<Silent>> {
    let (connections, mut found) = connections(sets, sockets, end);
    let others = others(&connections, sockets, end);
    let candidates =
        connections.iter().zip(others).filter_map(|(connection, other)| Some((connection, other?)));
    let candidates: Vec<(&Connection<'_>, u64)> =
        candidates.filter(|(_, inode)| silent.contains(inode)).collect();
    let asked: Vec<(Pid, u64)> =
        candidates.iter().map(|(connection, inode)| (sets[connection.of].pid, *inode)).collect();
    let mut by_set: BTreeMap<usize, Vec<(&str, Found)>> = BTreeMap::new();
    for ((connection, _), holders) in candidates.iter().zip(other_end::of_sockets(&asked, end)) {
        // Who was not looked at may answer.
        let whole = Instant::now() < end && !holders.ends.is_empty();
        if whole && holders.ends.iter().all(|end| is_silent(end.state)) {
            by_set.entry(connection.of).or_default().push((&connection.object, holders));
        }
    }
    for (of, silent) in by_set {
        found[of] = Some(told(silent));
    }
    // Threads that wait for one set wait for the same.
    for at in 0..sets.len() {
        let first = sets.iter().position(|set| (set.pid, set.number) == (sets[at].pid, sets[at].number));
        found[at] = first.and_then(|first| found[first].clone());
    }
    found
}

/// The connections in all sets, and what is to be said of sets of which not all could be looked at. A set that several threads
/// wait for is looked at once.
fn connections<'a>(
    sets: &[Set<'a>],
    sockets: &mut Sockets,
    end: Instant,
) -> (Vec<Connection<'a>>, Vec<Option<Silent>>) {
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    let mut untold = vec![None; sets.len()];
    for (of, set) in sets.iter().enumerate() {
        if !seen.insert((set.pid, set.number)) {
            continue;
        }
        let told = machine::read(&format!("{}/fdinfo/{}", set.thread, set.number), SET_BYTES);
        let watched = watched(&told.unwrap_or_default());
        if seen.len() > SETS || watched.len() > DESCRIPTORS {
            let unknown = "only some of its connections were looked at";
            untold[of] = Some(Silent { unknown, ..Silent::default() });
        }
        let looked = if seen.len() > SETS { 0 } else { DESCRIPTORS };
        for (number, told) in watched.into_iter().take(looked).take_while(|_| Instant::now() < end) {
            // The number may mean another file by now.
            let inode = other_end::inode(set.thread, number).filter(|inode| *inode == told);
            let Some((inode, object)) =
                inode.and_then(|inode| Some((inode, sockets.find(set.thread, inode)?)))
            else {
                continue;
            };
            found.push(Connection { of, thread: set.thread, inode, object });
        }
    }
    (found, untold)
}

/// `tfd: NUMBER events: … data: … pos:… ino:INODE …`, a line for each descriptor; the inode in hexadecimal.
fn watched(told: &str) -> Vec<(i32, u64)> {
    let one = |line: &str| {
        let number = line.strip_prefix("tfd:")?.split_ascii_whitespace().next()?.parse().ok()?;
        let inode = line.split_ascii_whitespace().find_map(|word| word.strip_prefix("ino:"))?;
        Some((number, u64::from_str_radix(inode, 16).ok()?))
    };
    told.lines().filter_map(one).collect()
}

/// The sockets at the other ends of those that were asked for, in the order of the connections.
fn others(connections: &[Connection<'_>], sockets: &mut Sockets, end: Instant) -> Vec<Option<u64>> {
    let mut found = vec![None; connections.len()];
    let all = || connections.iter().enumerate();
    let tcp: Vec<_> = all().filter_map(|(at, one)| Some((at, tcp_peer::ends(&one.object)?))).collect();
    let asked: Vec<_> = tcp
        .iter()
        .map(|(at, ends)| tcp_peer::Asked { thread: connections[*at].thread, ends: *ends })
        .collect();
    for ((at, _), other) in tcp.iter().zip(tcp_peer::find(&asked, sockets, end).others) {
        found[*at] = other.filter(|other| other.listens).map(|other| other.inode);
    }
    let unix: Vec<_> = all().filter(|(_, one)| other_end::is_unnamed(&one.object)).collect();
    let asked: Vec<_> = unix
        .iter()
        .map(|(_, one)| unix_peer::Asked { thread: one.thread, inode: one.inode, to: None, is_unnamed: true })
        .collect();
    for ((at, one), other) in unix.iter().zip(unix_peer::find(&asked, sockets, end)) {
        let other = other.filter(|other| other_end::is_asked_for(&one.object, other));
        found[*at] = other.map(|other| other.inode);
    }
    found
}

fn told(silent: Vec<(&str, Found)>) -> Silent {
    let object = match silent.as_slice() {
        [] => String::new(),
        [(object, _)] => (*object).to_owned(),
        [(object, _), more @ ..] => format!("{object} and {} more", more.len()),
    };
    let mut found = Found::default();
    let mut seen = HashSet::new();
    for (_, holders) in silent {
        found.more += holders.more;
        for end in holders.ends.into_iter().filter(|end| seen.insert(end.pid)) {
            found.add(end.pid, end.state);
        }
    }
    Silent { object, unknown: "", found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_names_its_descriptors() {
        let told = "pos:\t0\nflags:\t02\ntfd:        5 events:       19 data: 5  pos:0 ino:1f sdev:9\n\
            tfd:       12 events: 1 data: 0\ntfd: x ino:4\n";
        assert_eq!(watched(told), [(5, 0x1f)]);
    }

    #[test]
    fn without_time_it_is_said_that_not_all_were_looked_at() {
        let set = Set { pid: Pid(0), thread: "/proc/0/task/0", number: 0 };
        let found = silent(&[set], &mut Sockets::default(), Instant::now());
        assert!(found[0].as_ref().unwrap().unknown.ends_with("in time"), "{found:?}");
        assert!(silent(&[], &mut Sockets::default(), Instant::now()).is_empty());
    }

    #[test]
    fn several_connections_are_told_by_one_and_their_processes_once() {
        let holders = |ends: &[(u32, char)]| {
            let mut found = Found::default();
            ends.iter().for_each(|(pid, state)| found.add(Pid(*pid), *state));
            found
        };
        let (one, both) = (holders(&[(7, 'T')]), holders(&[(7, 'T'), (3, 'F')]));
        let silent = told(vec![("tcp a → b", one.clone()), ("tcp c → d", both)]);
        assert_eq!(silent.object, "tcp a → b and 1 more");
        assert_eq!(silent.found.ends.iter().map(|end| end.pid.0).collect::<Vec<_>>(), [7, 3]);
        assert_eq!(told(vec![("tcp a → b", one)]).object, "tcp a → b");
    }

    #[test]
    fn of_many_holders_those_that_answer_are_kept() {
        let mut found = Found::default();
        (0..6).for_each(|pid| found.add(Pid(pid), 'F'));
        assert_eq!((found.ends.len(), found.more), (4, 2));
        assert!(found.ends.iter().all(|end| is_silent(end.state)));
        found.add(Pid(9), 'S');
        assert!(found.more == 3 && found.ends.iter().any(|end| end.pid == Pid(9)), "{found:?}");
    }
}
