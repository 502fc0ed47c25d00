//! The kernel's socket diagnosis: of unix sockets it tells what no table of procfs has.
//!
//! In: a network. Out: the socket that one of its sockets is connected to; the sockets that listen, by name and by who waits for them.
//! Each socket is told by its inode.

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

/// `SOCK_DIAG_BY_FAMILY` (include/uapi/linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`, and `NLM_F_DUMP` besides (include/uapi/linux/netlink.h).
const ONE: u16 = 1;
const ALL: u16 = 0x301;
/// `AF_UNIX`.
const UNIX: u8 = 1;
/// `UDIAG_SHOW_NAME`, `UDIAG_SHOW_PEER`, `UDIAG_SHOW_ICONS`; `UNIX_DIAG_NAME`, `UNIX_DIAG_PEER`, `UNIX_DIAG_ICONS`
/// (include/uapi/linux/unix_diag.h).
const SHOW_NAME: u32 = 1;
const NAME: u16 = 0;
const SHOW_PEER: u32 = 4;
const SHOW_WAITING: u32 = 8;
const PEER: u16 = 2;
const WAITING: u16 = 3;
/// In any state; in `TCP_LISTEN` (include/net/tcp_states.h).
const ANY_STATE: u32 = u32::MAX;
const LISTENS: u32 = 1 << 10;
/// Bytes of the head of a message, and of what a socket's answer begins with (`unix_diag_msg`).
const HEAD: usize = 16;
const ANSWER: usize = 16;
/// Bytes read at once, and how often at most: some 100,000 sockets.
const AT_ONCE: usize = 64 << 10;
const READS: usize = 64;
/// The kernel answers at once.
const WITHIN: Duration = Duration::from_millis(100);

/// The diagnosis of one network.
pub struct Diagnosis(OwnedFd);

impl Diagnosis {
    /// That of the network which a thread or process is in. A thread of its own enters it to ask for this, and ends.
    pub fn of(thread: &str) -> Option<Self> {
        let network = File::open(format!("{thread}/ns/net")).ok()?;
        let open = move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
            let kind = (AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC);
            let socket = socket_with(kind.0, kind.1, kind.2, Some(netlink::SOCK_DIAG)).ok()?;
            set_socket_timeout(&socket, Timeout::Recv, Some(WITHIN)).ok()?;
            Some(Self(socket))
        };
        std::thread::Builder::new().spawn(open).ok()?.join().ok()?
    }

    /// The sockets that these are connected to, in their order.
    pub fn peers(&self, inodes: &[u64]) -> Vec<Option<u64>> {
        // An answer that does not come would be taken for the next one's: then nobody else is asked.
        let mut answers = true;
        let mut one = |inode: u64| {
            let inode = u32::try_from(inode).ok().filter(|_| answers)?;
            let answer = self.ask(&request(ONE, ANY_STATE, inode, SHOW_PEER)).and_then(|()| self.read(1024));
            answers = answer.is_ok();
            peer(&answer.ok()?, inode)
        };
        inodes.iter().map(|inode| one(*inode)).collect()
    }

    /// The sockets that listen.
    pub fn listening(&self) -> Listening {
        let mut found = Listening::default();
        if self.ask(&request(ALL, LISTENS, 0, SHOW_WAITING | SHOW_NAME)).is_err() {
            return found;
        }
        for _ in 0..READS {
            let Ok(answer) = self.read(AT_ONCE) else { break };
            if !messages(&answer).all(|message| found.add(message)) {
                break;
            }
        }
        found
    }

    fn ask(&self, request: &[u8]) -> io::Result<()> {
        send(&self.0, request, SendFlags::empty()).map(|_| ())
    }

    fn read(&self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; bytes];
        let (_, length) = recv(&self.0, &mut answer[..], RecvFlags::empty())?;
        answer.truncate(length);
        Ok(answer)
    }
}

/// `nlmsghdr`, then `unix_diag_req`, whatever the socket's cookie.
fn request(flags: u16, states: u32, inode: u32, show: u32) -> [u8; HEAD + 24] {
    let mut message = [0; HEAD + 24];
    let mut put = |at: usize, bytes: &[u8]| message[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &((HEAD + 24) as u32).to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &flags.to_ne_bytes());
    put(HEAD, &[UNIX]);
    put(HEAD + 4, &states.to_ne_bytes());
    put(HEAD + 8, &inode.to_ne_bytes());
    put(HEAD + 12, &show.to_ne_bytes());
    put(HEAD + 16, &[0xff; 8]);
    message
}

/// The messages of one answer.
fn messages(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = answer;
    std::iter::from_fn(move || {
        let length = usize::try_from(word(rest, 0)?).ok().filter(|length| *length >= HEAD)?;
        let message = rest.get(..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attribute that names the other socket, in an answer about that one.
fn peer(message: &[u8], inode: u32) -> Option<u64> {
    let peer = word(attribute(message, PEER).filter(|_| socket(message) == Some(inode))?, 0)?;
    Some(u64::from(peer)).filter(|peer| *peer != 0)
}

/// The unix sockets of a network that listen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// By the socket that asks, the one that has not accepted it yet.
    unaccepted: HashMap<u64, u64>,
    /// By name, in the kernel's own bytes; none of a name that two have.
    by_name: HashMap<Vec<u8>, Option<u64>>,
}

impl Listening {
    /// The one that has not accepted this socket's connection yet.
    pub fn for_asker(&self, inode: u64) -> Option<u64> {
        self.unaccepted.get(&inode).copied()
    }

    /// The one at a path, or at an abstract name behind `@`. A path that begins elsewhere means another file for each process.
    pub fn at(&self, to: &str) -> Option<u64> {
        let name = match to.as_bytes() {
            [b'@', name @ ..] => [&[0], name].concat(),
            [b'/', ..] => to.as_bytes().to_vec(),
            _ => return None,
        };
        *self.by_name.get(&name)?
    }

    /// Adds the socket that this message is about; whether it is about one, and not the end.
    fn add(&mut self, message: &[u8]) -> bool {
        let Some(listens) = socket(message).map(u64::from) else { return false };
        let waiting = attribute(message, WAITING).unwrap_or_default();
        let inodes = (0..waiting.len()).step_by(4).filter_map(|at| word(waiting, at));
        self.unaccepted.extend(inodes.filter(|inode| *inode != 0).map(|inode| (u64::from(inode), listens)));
        let name = attribute(message, NAME).unwrap_or_default();
        // Of a path the kernel's bytes may end with a NUL, or not.
        let name = if name.starts_with(b"/") { name.strip_suffix(&[0]).unwrap_or(name) } else { name };
        if !name.is_empty() {
            let others = self.by_name.entry(name.to_vec());
            others.and_modify(|one| *one = None).or_insert(Some(listens));
        }
        true
    }
}

/// The socket that an answer is about; an error's message and the last one have another type.
fn socket(message: &[u8]) -> Option<u32> {
    word(message, HEAD + 4).filter(|_| half(message, 4) == Some(BY_FAMILY))
}

fn attribute(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut at = HEAD + ANSWER;
    loop {
        let (length, kind) = (usize::from(half(message, at)?), half(message, at + 2)?);
        if kind == wanted {
            return message.get(at + 4..at + length);
        }
        // Lengths are rounded up to words; one that is shorter than its own head ends nothing.
        at += length.max(4).next_multiple_of(4);
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message about socket 7, of whole words of attributes.
    fn about_seven(attributes: &[u8]) -> Vec<u8> {
        let mut message = vec![0; HEAD + ANSWER];
        message.extend(attributes);
        let length = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        message[HEAD + 4..HEAD + 8].copy_from_slice(&7_u32.to_ne_bytes());
        message
    }

    fn head(length: u16, kind: u16) -> Vec<u8> {
        [length.to_ne_bytes(), kind.to_ne_bytes()].concat()
    }

    #[test]
    fn answers_that_make_no_sense_name_nobody() {
        assert_eq!(peer(&about_seven(&[]), 7), None);
        assert_eq!(peer(&about_seven(&head(0, 0)), 7), None, "a length of nothing ends");
        assert_eq!(peer(&about_seven(&head(8, PEER)), 7), None, "cut");
        assert_eq!(peer(&about_seven(&head(2, PEER)), 7), None, "shorter than its head");
        let told = [head(5, 9), vec![1, 0, 0, 0], head(8, PEER), 77_u32.to_ne_bytes().to_vec()];
        assert_eq!(peer(&about_seven(&told.concat()), 7), Some(77));
        assert_eq!(peer(&about_seven(&told.concat()), 8), None, "of another socket");
        assert_eq!(peer(&[], 7), None);
    }

    #[test]
    fn who_listens_at_a_name_is_found_unless_two_do() {
        let named = |name: &[u8]| {
            let length = u16::try_from(4 + name.len()).unwrap();
            let padded = name.len().next_multiple_of(4);
            let mut attribute = [head(length, NAME), name.to_vec()].concat();
            attribute.resize(4 + padded, 0);
            about_seven(&attribute)
        };
        let mut found = Listening::default();
        for name in [&b"/run/a.sock"[..], b"/run/b\0", b"\0abstract", b"relative", b"/twice", b"/twice"] {
            assert!(found.add(&named(name)));
        }
        assert_eq!(["/run/a.sock", "/run/b", "@abstract"].map(|to| found.at(to)), [Some(7); 3]);
        assert_eq!(["/twice", "relative", "/run", "@a", ""].map(|to| found.at(to)), [None; 5]);
    }

    #[test]
    fn an_answer_of_several_messages_names_who_waits_until_its_end() {
        let waiting = |inodes: [u32; 2]| {
            about_seven(&[head(12, WAITING), inodes.map(u32::to_ne_bytes).concat()].concat())
        };
        let mut last = waiting([5, 6]);
        last[4..6].copy_from_slice(&3_u16.to_ne_bytes());
        let answer =
            [waiting([11, 0]), about_seven(&[]), waiting([12, 13]), last, waiting([14, 15])].concat();
        let mut found = Listening::default();
        assert!(!messages(&answer).all(|message| found.add(message)), "the end is found");
        assert_eq!(found.unaccepted, HashMap::from([(11, 7), (12, 7), (13, 7)]));
        assert_eq!((found.for_asker(12), found.for_asker(14)), (Some(7), None));
        assert_eq!(messages(&answer[..answer.len() - 1]).count(), 4, "a cut message is none");
        assert_eq!(messages(&[0; 64]).count(), 0, "a message of no length ends it");
    }
}
