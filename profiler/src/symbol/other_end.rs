//! Who has the other end of a pipe or a connection, on this machine.
//!
//! In: a descriptor, and what it names. Out: the processes that have the other end: of a pipe, who may do with it what the
//! descriptor may not; of a connection, who has the other socket. Links of procfs are read, up to a deadline.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Instant;

use super::networks::processes;
use super::socket::Sockets;
use super::{tcp_peer, unix_peer};
use crate::machine;
use crate::machine::frozen::Freezers;
use crate::profile::Pid;
use crate::profile::in_flight::{FROZEN, OTHER_ENDS, OtherEnd, is_silent};

/// In front of what a unix socket is being connected to.
pub const TO: &str = "unix → ";
/// The permissions of a descriptor's link: what may be done with it.
const READS: u32 = 0o400;
const WRITES: u32 = 0o200;

/// A descriptor of a thread.
pub struct Descriptor<'d> {
    /// Process.
    pub pid: Pid,
    /// Where the kernel tells of the thread: `/proc/PID/task/TID`.
    pub thread: &'d str,
    /// Its number.
    pub number: i32,
    /// What it names.
    pub object: &'d str,
}

/// The inode of the socket behind a descriptor.
pub fn inode(thread: &str, number: i32) -> Option<u64> {
    inode_of(&fs::read_link(format!("{thread}/fd/{number}")).ok()?)
}

fn inode_of(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Who has the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What the other socket is called, if it is a unix socket: `unix PATH`.
    pub name: Option<String>,
    /// Processes, [`OTHER_ENDS`] at most.
    pub ends: Vec<OtherEnd>,
    /// How many more.
    pub more: u64,
    /// Why there are none, where there must be an other end.
    pub unknown: &'static str,
    /// No answer is owed: the other end asked for the connection, or neither did.
    pub serves: bool,
}

impl Found {
    /// Adds a process and its state. All that are kept answer nothing only if none of the others does either.
    pub fn add(&mut self, pid: Pid, state: char) {
        let end = OtherEnd { pid, state };
        if self.ends.len() < OTHER_ENDS {
            return self.ends.push(end);
        }
        self.more += 1;
        let silent = self.ends.iter_mut().find(|kept| is_silent(kept.state)).filter(|_| !is_silent(state));
        if let Some(silent) = silent {
            *silent = end;
        }
    }
}

/// What a holder of the other end has among its descriptors.
struct Wanted {
    link: String,
    /// What its link must permit: a bit, or both.
    permits: u32,
    /// Of whom it is the other end.
    of: usize,
}

/// The other ends of all of them, in their order.
pub fn find(descriptors: &[Descriptor<'_>], sockets: &mut Sockets, end: Instant) -> Vec<Found> {
    let mut wanted = Vec::new();
    for (of, descriptor) in descriptors.iter().enumerate() {
        if descriptor.object.starts_with("pipe:[") {
            let permits = opposite(descriptor);
            wanted.push(Wanted { link: descriptor.object.to_owned(), permits, of });
        }
    }
    let tcp = connections(descriptors, sockets, &mut wanted, end);
    let unix = unix_sockets(descriptors, sockets, &mut wanted, end);
    let own: Vec<Pid> = descriptors.iter().map(|descriptor| descriptor.pid).collect();
    let mut found = holders(&own, &wanted, end);
    for (of, answer) in tcp {
        match answer {
            Some(other) => found[of].serves = !other.listens,
            None => found[of].unknown = "not all networks could be looked at in time",
        }
    }
    for (of, other) in unix {
        found[of].serves = !is_asked_for(descriptors[of].object, &other);
        found[of].name = other.name;
    }
    found
}

/// Whether this end of a unix socket is the client's: it has no path, and the other one has.
pub fn is_asked_for(object: &str, other: &unix_peer::Other) -> bool {
    let is_named = |name: &String| !name.starts_with("unix socket:[");
    is_unnamed(object) && other.name.as_ref().is_some_and(is_named)
}

/// Who has these sockets, each asked for by a process: in their order.
pub fn of_sockets(asked: &[(Pid, u64)], end: Instant) -> Vec<Found> {
    let own: Vec<Pid> = asked.iter().map(|(pid, _)| *pid).collect();
    let wanted: Vec<Wanted> = asked.iter().enumerate().map(|(of, (_, inode))| socket(*inode, of)).collect();
    holders(&own, &wanted, end)
}

/// What the other end of a pipe is for: the first of both bits that this end lacks, or both.
fn opposite(descriptor: &Descriptor<'_>) -> u32 {
    let link = format!("{}/fd/{}", descriptor.thread, descriptor.number);
    match fs::symlink_metadata(link).map_or(0, |link| link.mode() & (READS | WRITES)) {
        READS => WRITES,
        WRITES => READS,
        _ => READS | WRITES,
    }
}

/// Whether a unix socket has no path of its own, as who connects has none.
pub fn is_unnamed(object: &str) -> bool {
    object.starts_with("unix socket:[") || object.starts_with(TO)
}

/// Looks for the sockets at the other end of connections; none of one whose network may not have been looked at.
fn connections(
    descriptors: &[Descriptor<'_>],
    sockets: &mut Sockets,
    wanted: &mut Vec<Wanted>,
    end: Instant,
) -> Vec<(usize, Option<tcp_peer::Other>)> {
    let ends = |(of, descriptor): (usize, &Descriptor<'_>)| Some((of, tcp_peer::ends(descriptor.object)?));
    let asked: Vec<_> = descriptors.iter().enumerate().filter_map(ends).collect();
    let ask = |(of, ends): &(usize, _)| tcp_peer::Asked { thread: descriptors[*of].thread, ends: *ends };
    let answers = tcp_peer::find(&asked.iter().map(ask).collect::<Vec<_>>(), sockets, end);
    let cut = answers.cut.iter().map(|place| (asked[*place].0, None));
    let mut told: Vec<_> = cut.collect();
    for ((of, _), other) in asked.iter().zip(answers.others) {
        wanted.extend(other.map(|other| socket(other.inode, *of)));
        told.extend(other.map(|other| (*of, Some(other))));
    }
    told
}

/// Looks for the sockets at the other end of unix sockets.
fn unix_sockets(
    descriptors: &[Descriptor<'_>],
    sockets: &mut Sockets,
    wanted: &mut Vec<Wanted>,
    end: Instant,
) -> Vec<(usize, unix_peer::Other)> {
    let is_unix = |(_, descriptor): &(usize, &Descriptor<'_>)| descriptor.object.starts_with("unix ");
    let with_inode =
        |(of, descriptor): (usize, &Descriptor<'_>)| Some((of, inode(descriptor.thread, descriptor.number)?));
    let asked: Vec<(usize, u64)> =
        descriptors.iter().enumerate().filter(is_unix).filter_map(with_inode).collect();
    let ask = |(of, inode): &(usize, u64)| unix_peer::Asked {
        thread: descriptors[*of].thread,
        inode: *inode,
        to: descriptors[*of].object.strip_prefix(TO),
        is_unnamed: is_unnamed(descriptors[*of].object),
    };
    let found = unix_peer::find(&asked.iter().map(ask).collect::<Vec<_>>(), sockets, end);
    let others: Vec<_> =
        asked.into_iter().zip(found).filter_map(|((of, _), other)| Some((of, other?))).collect();
    wanted.extend(others.iter().map(|(of, other)| socket(other.inode, *of)));
    others
}

/// Who has the socket has all of it.
fn socket(inode: u64, of: usize) -> Wanted {
    Wanted { link: format!("socket:[{inode}]"), permits: READS | WRITES, of }
}

/// Processes that have what is wanted among their descriptors. Who asks has both ends of a pipe at times, and counts only where nobody
/// else has it.
fn holders(askers: &[Pid], wanted: &[Wanted], end: Instant) -> Vec<Found> {
    let mut found = vec![Found::default(); askers.len()];
    if wanted.is_empty() {
        return found;
    }
    let mut by_link: HashMap<&str, Vec<&Wanted>> = HashMap::new();
    wanted.iter().for_each(|one| by_link.entry(&one.link).or_default().push(one));
    let (mut own, mut freezers) = (vec![None; askers.len()], Freezers::default());
    for pid in processes() {
        let mut told = HashSet::new();
        for one in has(pid, &by_link, end) {
            let Some(asker) = askers.get(one.of).filter(|_| told.insert(one.of)) else { continue };
            if *asker == pid {
                own[one.of] = Some(pid);
            } else if let Some(found) = found.get_mut(one.of) {
                found.add(pid, state(pid, &mut freezers));
            }
        }
    }
    let whole = Instant::now() < end;
    for one in wanted {
        let Some(found) = found.get_mut(one.of).filter(|found| found.ends.is_empty()) else { continue };
        match own[one.of] {
            _ if !whole => found.unknown = "not all processes could be looked at in time",
            Some(pid) => found.add(pid, state(pid, &mut freezers)),
            None => found.unknown = "no process has it",
        }
    }
    found
}

/// What of that a process has, as far as there is time: some have a million descriptors.
fn has<'w>(pid: Pid, by_link: &HashMap<&str, Vec<&'w Wanted>>, end: Instant) -> Vec<&'w Wanted> {
    let mut found = Vec::new();
    if Instant::now() >= end {
        return found;
    }
    let entries = fs::read_dir(format!("/proc/{}/fd", pid.0)).into_iter().flatten().flatten();
    for entry in entries.take_while(|_| Instant::now() < end) {
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        let Some(wanted) = link.to_str().and_then(|link| by_link.get(link)) else { continue };
        let may = entry.metadata().map_or(0, |link| link.mode());
        found.extend(wanted.iter().filter(|one| may & one.permits != 0));
    }
    found
}

/// The sockets that a process has, as far as there is time.
pub fn sockets(pid: Pid, end: Instant) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{}/fd", pid.0)).into_iter().flatten().flatten();
    let entries = entries.take_while(|_| Instant::now() < end);
    entries.filter_map(|entry| inode_of(&fs::read_link(entry.path()).ok()?)).collect()
}

/// The state of a process's first thread, [`FROZEN`] where its cgroup is; the name in front of it ends at the last bracket.
pub fn state(pid: Pid, freezers: &mut Freezers) -> char {
    let stat = machine::read(&format!("/proc/{}/stat", pid.0), 4096).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?');
    if matches!(state, 'S' | 'D' | 'R') && freezers.freeze(pid.0) { FROZEN } else { state }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;
    use std::process::{Command, Stdio};

    use std::time::Duration;

    use super::*;

    /// Long enough for any machine.
    fn long() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn of_child(child: &std::process::Child, number: i32) -> (String, String) {
        let thread = format!("/proc/{0}/task/{0}", child.id());
        let link = fs::read_link(format!("{thread}/fd/{number}")).unwrap();
        (thread, link.to_str().unwrap().to_owned())
    }

    #[test]
    fn who_may_do_with_a_pipe_what_the_asker_may_not_has_its_other_end() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut sink = Command::new("sleep").arg("1000").stdin(reader).spawn().unwrap();
        let mut source = Command::new("sleep").arg("1000").stdout(writer).spawn().unwrap();
        let ends = |child: &std::process::Child, number| {
            let (thread, object) = of_child(child, number);
            let descriptor = Descriptor { pid: Pid(child.id()), thread: &thread, number, object: &object };
            find(&[descriptor], &mut Sockets::default(), long()).remove(0)
        };
        let pids = |found: &Found| found.ends.iter().map(|end| end.pid.0).collect::<Vec<_>>();
        let (of_source, of_sink) = (ends(&source, 1), ends(&sink, 0));
        assert_eq!((pids(&of_source), of_source.more, of_source.unknown), (vec![sink.id()], 0, ""));
        assert_eq!(pids(&of_sink), [source.id()]);
        assert!(of_sink.ends[0].state.is_alphabetic(), "{of_sink:?}");
        sink.kill().unwrap();
        sink.wait().unwrap();
        let alone = ends(&source, 1);
        assert_eq!((alone.ends.len(), alone.unknown), (0, "no process has it"));
        source.kill().unwrap();
        source.wait().unwrap();
    }

    #[test]
    fn without_time_it_is_said_that_not_all_were_looked_at() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let mut sink = Command::new("sleep").arg("1000").stdin(reader).stdout(Stdio::null()).spawn().unwrap();
        let (thread, object) = of_child(&sink, 0);
        let descriptor = Descriptor { pid: Pid(sink.id()), thread: &thread, number: 0, object: &object };
        let found = find(&[descriptor], &mut Sockets::default(), Instant::now());
        assert_eq!(found[0].unknown, "not all processes could be looked at in time");
        sink.kill().unwrap();
        sink.wait().unwrap();
    }

    #[test]
    fn the_other_end_of_a_connection_has_the_socket_that_faces_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let inherited: std::os::fd::OwnedFd = server.into();
        let mut child = Command::new("sleep").arg("1000").stdin(inherited).spawn().unwrap();
        let (here, there) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let object = format!("tcp {here} → {there}");
        let own = Pid(std::process::id());
        let thread = format!("/proc/{0}/task/{0}", own.0);
        let number = client.as_raw_fd();
        let descriptor = Descriptor { pid: own, thread: &thread, number, object: &object };
        let found = find(&[descriptor], &mut Sockets::default(), long()).remove(0);
        assert_eq!(found.ends.iter().map(|end| end.pid.0).collect::<Vec<_>>(), [child.id()]);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_connection_to_elsewhere_and_what_has_no_other_end_say_nothing() {
        let own = Pid(std::process::id());
        let thread = format!("/proc/{0}/task/{0}", own.0);
        for object in
            ["tcp 192.0.2.1:1 → 192.0.2.2:2", "tcp 127.0.0.1:9 listening", "/dev/null", "", "tcp x → y"]
        {
            let descriptor = Descriptor { pid: own, thread: &thread, number: 0, object };
            assert_eq!(find(&[descriptor], &mut Sockets::default(), long()), [Found::default()], "{object}");
        }
    }
}
