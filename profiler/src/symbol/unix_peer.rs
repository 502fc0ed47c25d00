//! The other end of unix sockets. No table of procfs has it: the kernel's socket diagnosis tells.
//!
//! In: sockets by inode, each with a thread whose network it is in. Out: the inode of the socket that it is connected to.
//! A thread of its own enters that network, asks, and ends.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::io;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::socket::network;

/// `SOCK_DIAG_BY_FAMILY` (include/uapi/linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` (include/uapi/linux/netlink.h).
const REQUEST: u16 = 1;
/// `AF_UNIX`.
const UNIX: u8 = 1;
/// `UDIAG_SHOW_PEER`, `UNIX_DIAG_PEER` (include/uapi/linux/unix_diag.h).
const SHOW_PEER: u32 = 4;
const PEER: u16 = 2;
/// Bytes of the head of a message, and of what a socket's answer begins with (`unix_diag_msg`).
const HEAD: usize = 16;
const ANSWER: usize = 16;
/// The kernel answers at once.
const WITHIN: Duration = Duration::from_millis(100);

/// A socket, and a thread that is in its network.
pub struct Asked<'a> {
    /// `/proc/PID/task/TID`.
    pub thread: &'a str,
    /// Its inode.
    pub inode: u64,
}

/// The inodes of those that they are connected to, in their order.
pub fn peers(asked: &[Asked<'_>]) -> Vec<Option<u64>> {
    let mut found = vec![None; asked.len()];
    let mut by_network: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, one) in asked.iter().enumerate() {
        if let Some(network) = network(one.thread) {
            by_network.entry(network).or_default().push(place);
        }
    }
    for places in by_network.into_values() {
        let Some(first) = places.first().and_then(|place| asked.get(*place)) else { continue };
        let Ok(network) = File::open(format!("{}/ns/net", first.thread)) else { continue };
        let inodes: Vec<u64> = places.iter().filter_map(|place| Some(asked.get(*place)?.inode)).collect();
        let told = std::thread::spawn(move || in_network(&network, &inodes)).join().unwrap_or_default();
        for (place, peer) in places.into_iter().zip(told) {
            found[place] = peer;
        }
    }
    found
}

/// Asks in that network, which the calling thread enters for good.
fn in_network(network: &File, inodes: &[u64]) -> Vec<Option<u64>> {
    let entered = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
    let Ok(socket) = entered.and_then(|()| diagnosis()) else { return Vec::new() };
    // An answer that does not come would be taken for the next one's: then nobody else is asked.
    let mut answers = true;
    let mut one = |inode: u64| {
        let inode = u32::try_from(inode).ok().filter(|_| answers)?;
        let answer = ask(&socket, inode);
        answers = answer.is_ok();
        peer(&answer.ok()?, inode)
    };
    inodes.iter().map(|inode| one(*inode)).collect()
}

fn diagnosis() -> io::Result<OwnedFd> {
    let kind = (AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC);
    let socket = socket_with(kind.0, kind.1, kind.2, Some(netlink::SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(WITHIN))?;
    Ok(socket)
}

fn ask(socket: &OwnedFd, inode: u32) -> io::Result<Vec<u8>> {
    send(socket, &request(inode), SendFlags::empty())?;
    let mut answer = vec![0; 1024];
    let (_, length) = recv(socket, &mut answer[..], RecvFlags::empty())?;
    answer.truncate(length);
    Ok(answer)
}

/// `nlmsghdr`, then `unix_diag_req`: any state, this socket, whatever its cookie.
fn request(inode: u32) -> [u8; HEAD + 24] {
    let mut message = [0; HEAD + 24];
    let mut put = |at: usize, bytes: &[u8]| message[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &((HEAD + 24) as u32).to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &REQUEST.to_ne_bytes());
    put(HEAD, &[UNIX]);
    put(HEAD + 4, &u32::MAX.to_ne_bytes());
    put(HEAD + 8, &inode.to_ne_bytes());
    put(HEAD + 12, &SHOW_PEER.to_ne_bytes());
    put(HEAD + 16, &[0xff; 8]);
    message
}

/// The attribute that names the other socket, in an answer about that one; an error's message has another type.
fn peer(message: &[u8], inode: u32) -> Option<u64> {
    let half = |at: usize| Some(u16::from_ne_bytes(message.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(message.get(at..at + 4)?.try_into().ok()?));
    if half(4)? != BY_FAMILY || word(HEAD + 4)? != inode {
        return None;
    }
    let mut at = HEAD + ANSWER;
    loop {
        let (length, kind) = (usize::from(half(at)?), half(at + 2)?);
        if kind == PEER {
            return word(at + 4).filter(|peer| *peer != 0).map(u64::from);
        }
        // Lengths are rounded up to words; one that is shorter than its own head ends nothing.
        at += length.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn each_of_a_pair_names_the_other() {
        let (one, other) = UnixStream::pair().unwrap();
        let thread = format!("/proc/{0}/task/{0}", std::process::id());
        let inode = |stream: &UnixStream| {
            let link = std::fs::read_link(format!("/proc/self/fd/{}", stream.as_raw_fd())).unwrap();
            let link = link.to_str().unwrap().to_owned();
            link.trim_start_matches("socket:[").trim_end_matches(']').parse::<u64>().unwrap()
        };
        let inodes = [inode(&one), inode(&other)];
        let asked = inodes.map(|inode| Asked { thread: &thread, inode });
        let found = peers(&asked);
        if found.iter().all(Option::is_none) {
            eprintln!("SKIPPED: this kernel's socket diagnosis tells nothing here");
            return;
        }
        assert_eq!(found, [Some(inodes[1]), Some(inodes[0])]);
        let nobody = [Asked { thread: &thread, inode: 1 }, Asked { thread: "/proc/0/task/0", inode: 1 }];
        assert_eq!(peers(&nobody), [None, None]);
    }

    #[test]
    fn answers_that_make_no_sense_name_nobody() {
        let mut answer = vec![0; HEAD + ANSWER];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        answer[HEAD + 4..HEAD + 8].copy_from_slice(&7_u32.to_ne_bytes());
        assert_eq!(peer(&answer, 7), None);
        let attribute = |length: u16, kind: u16| [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        let with = |more: &[u8]| [answer.as_slice(), more].concat();
        assert_eq!(peer(&with(&attribute(0, 0)), 7), None, "a length of nothing ends");
        assert_eq!(peer(&with(&attribute(8, PEER)), 7), None, "cut");
        let told = [attribute(5, 9), vec![1, 0, 0, 0], attribute(8, PEER), 77_u32.to_ne_bytes().to_vec()];
        assert_eq!(peer(&with(&told.concat()), 7), Some(77));
        assert_eq!(peer(&with(&told.concat()), 8), None, "of another socket");
        assert_eq!(peer(&[], 7), None);
    }
}
