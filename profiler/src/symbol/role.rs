//! Which end of its connections a process is.
//!
//! In: processes that waited. Out: server, client or both, told from its sockets and the tables of its network. A process
//! without connections, or one that is gone, has no role. Reads are bounded, links are read and never followed.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::machine;
use crate::profile::Pid;
use crate::profile::process::Role;

/// Processes that are looked at in one interval at most.
const ASKED: usize = 64;
/// Descriptors of a process that are looked at, at most.
const DESCRIPTORS: usize = 256;
/// Processes that are remembered.
const KNOWN: usize = 1 << 14;
/// Bytes read of one table: some 25,000 connections.
const TABLE_MAX: u64 = 4 << 20;
/// `TCP_LISTEN` of include/net/tcp_states.h; `SS_CONNECTED` of include/uapi/linux/net.h.
const LISTENS: &str = "0A";
/// `__SO_ACCEPTCON` of include/linux/net.h, among a unix socket's flags: it listens.
const ACCEPTS: u32 = 1 << 16;
const CONNECTED: &str = "03";

/// What was asked, and when to ask again.
#[derive(Default)]
pub struct Roles {
    /// Intervals until the next look, and the wait after that.
    asked: HashMap<Pid, (u32, u32)>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Accepted,
    Connected,
}

/// The connections of one network, by inode.
type Table = HashMap<u64, End>;

impl Roles {
    /// Forgets a process that has ended.
    pub fn forget(&mut self, pid: Pid) {
        self.asked.remove(&pid);
    }

    /// Looks at those of these processes whose turn it is: at once, then ever more rarely.
    pub fn look(&mut self, waited: impl Iterator<Item = Pid>) -> Vec<(Pid, Role)> {
        let mut networks: BTreeMap<String, Table> = BTreeMap::new();
        let (mut found, mut left) = (Vec::new(), ASKED);
        let waited: HashSet<Pid> = waited.collect();
        for pid in waited {
            if !self.is_due(pid) || left == 0 {
                continue;
            }
            left -= 1;
            let role = role(pid, &mut networks).unwrap_or(Role::Unknown);
            if role != Role::Unknown {
                found.push((pid, role));
            }
        }
        found.sort_unstable_by_key(|(pid, _)| *pid);
        found
    }

    fn is_due(&mut self, pid: Pid) -> bool {
        if self.asked.len() >= KNOWN && !self.asked.contains_key(&pid) {
            return false;
        }
        let (left, next) = self.asked.entry(pid).or_insert((0, 1));
        if *left > 0 {
            *left -= 1;
            return false;
        }
        (*left, *next) = (*next, next.saturating_mul(2));
        true
    }
}

fn role(pid: Pid, networks: &mut BTreeMap<String, Table>) -> Option<Role> {
    let process = format!("/proc/{}", pid.0);
    let network = std::fs::read_link(format!("{process}/ns/net")).ok()?.to_string_lossy().into_owned();
    let table = networks.entry(network).or_insert_with(|| read(&process));
    let (mut accepted, mut connected) = (false, false);
    for entry in std::fs::read_dir(format!("{process}/fd")).ok()?.take(DESCRIPTORS).flatten() {
        let Ok(link) = std::fs::read_link(entry.path()) else { continue };
        let inode =
            link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        match inode.and_then(|inode: u64| table.get(&inode)) {
            Some(End::Accepted) => accepted = true,
            Some(End::Connected) => connected = true,
            None => {}
        }
    }
    Some(match (accepted, connected) {
        (true, true) => Role::Both,
        (true, false) => Role::Server,
        (false, true) => Role::Client,
        (false, false) => Role::Unknown,
    })
}

fn read(process: &str) -> Table {
    let table = |name: &str| machine::read(&format!("{process}/net/{name}"), TABLE_MAX).unwrap_or_default();
    let mut ends = HashMap::new();
    tcp(&[table("tcp"), table("tcp6")], &mut ends);
    unix(&table("unix"), &mut ends);
    ends
}

/// `sl local_address rem_address st … uid timeout inode …`: who has the port of a listener was connected to.
fn tcp(tables: &[String], ends: &mut Table) {
    let rows = || {
        tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().take(10).collect();
            let port = fields.get(1)?.rsplit_once(':')?.1.to_owned();
            Some((port, *fields.get(3)?, fields.get(9)?.parse::<u64>().ok()?))
        })
    };
    let listening: HashSet<_> =
        rows().filter(|(_, state, _)| *state == LISTENS).map(|(port, ..)| port).collect();
    for (port, state, inode) in rows().filter(|(.., inode)| *inode > 0) {
        // Who listens serves, also while nobody is connected.
        let serves = state == LISTENS || listening.contains(&port);
        ends.insert(inode, if serves { End::Accepted } else { End::Connected });
    }
}

/// `Num RefCount Protocol Flags Type St Inode Path`: an accepted socket has its listener's path. A pair of sockets looks as
/// two that connected.
fn unix(table: &str, ends: &mut Table) {
    for line in table.lines().skip(1) {
        let fields: Vec<_> = line.split_ascii_whitespace().take(8).collect();
        let (Some(flags), Some(&"0001"), Some(&state)) = (fields.get(3), fields.get(4), fields.get(5)) else {
            continue;
        };
        let listens = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & ACCEPTS != 0);
        if state != CONNECTED && !listens {
            continue;
        }
        let Some(inode) = fields.get(6).and_then(|inode| inode.parse().ok()) else { continue };
        ends.insert(inode, if fields.len() > 7 { End::Accepted } else { End::Connected });
    }
}

#[cfg(test)]
pub(super) fn read_tables(text: &str) -> usize {
    let mut ends = HashMap::new();
    tcp(&[text.to_owned()], &mut ends);
    unix(text, &mut ends);
    ends.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_listeners_port_or_path_was_connected_to() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let row = |at: &str, port: &str, peer: &str, state: &str, inode: u64| {
            format!(" {at}: 0100007F:{port} 0100007F:{peer} {state} 0:0 0:0 0 0 0 {inode} 1 0\n")
        };
        let tcp_table = [
            head.to_owned(),
            row("0", "1538", "0000", LISTENS, 1),
            row("1", "1538", "9C40", "01", 2),
            row("2", "9C40", "1538", "01", 3),
            row("3", "1538", "9C41", "06", 0),
        ];
        let mut ends = Table::new();
        tcp(&[tcp_table.concat(), String::new()], &mut ends);
        unix(
            "Num       RefCount Protocol Flags    Type St Inode Path\n\
             0: 00000002 00000000 00010000 0001 01 7 /run/x\n\
             0: 00000003 00000000 00000000 0001 03 8 /run/x\n\
             0: 00000003 00000000 00000000 0001 03 9\n\
             0: 00000003 00000000 00000000 0002 03 10\n x\n",
            &mut ends,
        );
        let expected = [
            (1, End::Accepted),
            (2, End::Accepted),
            (3, End::Connected),
            (7, End::Accepted),
            (8, End::Accepted),
            (9, End::Connected),
        ];
        assert_eq!(ends, expected.into());
    }

    #[test]
    fn this_process_is_what_its_sockets_are_and_is_asked_ever_more_rarely() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let own = Pid(std::process::id());
        let mut roles = Roles::default();
        let looks = (0..8).map(|_| roles.look([own, own].into_iter()).len()).collect::<Vec<_>>();
        // Other tests of this process may have sockets, too: both ends are here in any case.
        assert_eq!(looks, [1, 0, 1, 0, 0, 1, 0, 0]);
        let mut networks = BTreeMap::new();
        assert_eq!(role(own, &mut networks), Some(Role::Both));
        assert_eq!(role(Pid(u32::MAX), &mut networks), None);
        drop((client, accepted));
    }
}
