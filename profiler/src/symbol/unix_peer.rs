//! The other end of unix sockets: the socket that one is connected to, that listens for it, or that it asks for.
//!
//! In: sockets by inode, each with a thread whose network it is in; the path that a socket is being connected to.
//! Out: the inode of the other one, and its path. No table of procfs connects two sockets: the kernel's diagnosis does.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::diagnosis::{Diagnosis, Listening};
use super::networks::{self, network};
use super::socket::Sockets;

/// A socket, and a thread that is in its network.
pub struct Asked<'a> {
    /// `/proc/PID/task/TID`.
    pub thread: &'a str,
    /// Its inode.
    pub inode: u64,
    /// The path that it is being connected to.
    pub to: Option<&'a str>,
    /// Whether it has no path of its own, as who connects has none.
    pub is_unnamed: bool,
}

/// The other socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its inode.
    pub inode: u64,
    /// What its table calls it: `unix PATH`.
    pub name: Option<String>,
}

/// The other sockets, in the order of those that are asked about.
pub fn find(asked: &[Asked<'_>], sockets: &mut Sockets, end: Instant) -> Vec<Option<Other>> {
    let mut found: Vec<Option<Other>> = vec![None; asked.len()];
    for (place, inode) in connected(asked) {
        found[place] = Some(Other { inode, name: sockets.find(asked[place].thread, inode) });
    }
    for (place, inode) in asked_for(asked, &found) {
        let name = asked[place].to.map(|to| format!("unix {to}"));
        found[place] = Some(Other { inode, name });
    }
    let is_unknown = |place: &usize| found[*place].is_none() && asked[*place].is_unnamed;
    let unknown: Vec<usize> = (0..asked.len()).filter(is_unknown).collect();
    for (place, other) in unaccepted(asked, &unknown, sockets, end) {
        found[place] = Some(other);
    }
    found
}

/// By place, what those that are connected are connected to.
fn connected(asked: &[Asked<'_>]) -> Vec<(usize, u64)> {
    let mut by_network: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, one) in asked.iter().enumerate() {
        if let Some(network) = network(one.thread) {
            by_network.entry(network).or_default().push(place);
        }
    }
    let mut found = Vec::new();
    for places in by_network.into_values() {
        let Some(diagnosis) = places.first().and_then(|first| Diagnosis::of(asked[*first].thread)) else {
            continue;
        };
        let inodes: Vec<u64> = places.iter().map(|place| asked[*place].inode).collect();
        let peers = places.into_iter().zip(diagnosis.peers(&inodes));
        found.extend(peers.filter_map(|(place, peer)| Some((place, peer?))));
    }
    found
}

/// By place, who listens where a connection is asked for, in the asker's own network.
fn asked_for(asked: &[Asked<'_>], found: &[Option<Other>]) -> Vec<(usize, u64)> {
    let mut by_network: HashMap<String, Listening> = HashMap::new();
    let listens = |place: usize| {
        let (one, to) = (&asked[place], asked[place].to?);
        let read = || Diagnosis::of(one.thread).map(|diagnosis| diagnosis.listening()).unwrap_or_default();
        let inode = by_network.entry(network(one.thread)?).or_insert_with(read).at(to)?;
        Some((place, inode))
    };
    (0..asked.len()).filter(|place| found[*place].is_none()).filter_map(listens).collect()
}

/// By place, who listens for those that nobody has accepted yet: any network may have it, as a path leads across them.
fn unaccepted(
    asked: &[Asked<'_>],
    places: &[usize],
    sockets: &mut Sockets,
    end: Instant,
) -> Vec<(usize, Other)> {
    let mut left: HashMap<u64, usize> = places.iter().map(|place| (asked[*place].inode, *place)).collect();
    let mut found = Vec::new();
    if left.is_empty() {
        return found;
    }
    for process in networks::each(end) {
        let Some(listening) = Diagnosis::of(&process).map(|diagnosis| diagnosis.listening()) else {
            continue;
        };
        left.retain(|asks, place| {
            let Some(inode) = listening.for_asker(*asks) else { return true };
            found.push((*place, Other { inode, name: sockets.find(&process, inode) }));
            false
        });
        if left.is_empty() {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::time::Duration;

    use super::*;

    fn inode(socket: &impl std::os::fd::AsRawFd) -> u64 {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let link = link.to_str().unwrap().to_owned();
        link.trim_start_matches("socket:[").trim_end_matches(']').parse().unwrap()
    }

    fn ask(inode: u64, to: Option<&str>) -> Option<Other> {
        let thread = format!("/proc/{0}/task/{0}", std::process::id());
        let asked = [Asked { thread: &thread, inode, to, is_unnamed: to.is_none() }];
        find(&asked, &mut Sockets::default(), Instant::now() + Duration::from_secs(60)).remove(0)
    }

    #[test]
    fn each_of_a_pair_names_the_other() {
        let (one, other) = UnixStream::pair().unwrap();
        let Some(found) = ask(inode(&one), None) else {
            eprintln!("SKIPPED: this kernel's socket diagnosis tells nothing here");
            return;
        };
        assert_eq!(
            found,
            Other { inode: inode(&other), name: Some(format!("unix socket:[{}]", inode(&other))) }
        );
        assert_eq!(ask(inode(&other), None).unwrap().inode, inode(&one));
        assert_eq!(ask(1, None), None);
    }

    #[test]
    fn who_listens_has_the_other_end_of_what_nobody_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("service.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        let path = path.to_str().unwrap();
        let listens = Other { inode: inode(&listener), name: Some(format!("unix {path}")) };
        assert_eq!(ask(1, Some(path)), Some(listens.clone()), "by the path");
        assert_eq!(ask(1, Some("/no/such/path")), None);
        let Some(found) = ask(inode(&client), None) else {
            eprintln!("SKIPPED: this kernel's socket diagnosis tells nothing here");
            return;
        };
        assert_eq!(found, listens);
        let (server, _) = listener.accept().unwrap();
        assert_eq!(ask(inode(&client), None).unwrap().inode, inode(&server), "now it is accepted");
    }
}
