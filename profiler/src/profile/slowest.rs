//! The slowest calls one by one.
//!
//! In: the slowest calls of one interval. Out: the longest of the session; waits for other threads are a list of their own.

use std::borrow::Cow;

use profiler_common::abi::{BEGAN_BEFORE, began_before, narrow};
use profiler_common::slowest::{KINDS, waits_for_thread};
use serde::{Deserialize, Serialize};

use super::call::CallNumber;
use super::parts::Parts;
use super::peer::Peer;
use super::process::{Pid, Tid};
use super::stack::StackId;
use crate::probes::blame::rows::LockHolder;

/// Calls kept of a session, of each kind.
pub const KEPT: usize = 20;

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowestCall {
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// The thread's name when the call ended, raw; empty when unknown.
    #[serde(default)]
    pub thread: String,
    /// System call.
    pub nr: CallNumber,
    /// When it was entered, ns since the start of the session; 0: before.
    pub start_ns: u64,
    /// From enter to exit, ns.
    pub wall_ns: u64,
    /// What it returned: negative errno.
    pub ret: i64,
    /// Its first three arguments.
    pub arguments: [u64; 3],
    /// What its first argument named when the interval ended: a path, a socket; empty when unknown.
    pub object: String,
    /// Why `object` is empty, for a call that takes a descriptor.
    #[serde(default)]
    pub object_unknown: String,
    /// The path it was given, read from the program's memory as it ended, raw: it may have been another at the call's
    /// begin. Empty when it takes none or it could not be read.
    #[serde(default)]
    pub path: String,
    /// Whether the path is longer than what was read of it.
    #[serde(default)]
    pub path_is_cut: bool,
    /// Why `path` is empty, for a call that takes one.
    #[serde(default)]
    pub path_unknown: String,
    /// The kind of file behind its descriptor as it ended; empty when unknown.
    #[serde(default)]
    pub file_kind: String,
    /// `wall_ns` by part.
    pub parts: Parts,
    /// Kernel stack during the call.
    pub kernel: StackId,
    /// User stack that made it.
    pub user: StackId,
    /// How long before the recording it is known to have begun, ns; 0 if not known. `wall_ns` does not
    /// contain that time.
    #[serde(default)]
    pub before_ns: u64,
    /// Who held the lock of user space that it waited for longest.
    #[serde(default)]
    pub holder: LockHolder,
    /// From whom the call itself received by TCP, as the receive told it.
    #[serde(default)]
    pub peer: Option<Peer>,
}

impl SlowestCall {
    /// Whether it began before the recording.
    pub fn is_older(&self) -> bool {
        began_before(self.nr)
    }

    /// How long it took; at least, if it began before the recording; ns.
    pub fn duration_ns(&self) -> u64 {
        self.wall_ns.saturating_add(self.before_ns)
    }

    /// What its descriptor named. If the call received from a peer, that is the peer, or the looked-up
    /// connection to that peer, which has both ends. Otherwise it is the name that was looked up, up to a
    /// second later.
    pub fn named(&self) -> Cow<'_, str> {
        match self.peer {
            Some(peer) if !self.object.ends_with(&format!(" → {peer}")) => format!("tcp → {peer}").into(),
            _ => Cow::Borrowed(&self.object),
        }
    }

    /// Why there is no such name.
    pub fn unnamed(&self) -> &str {
        if self.peer.is_some() { "" } else { &self.object_unknown }
    }

    /// Whether that name may be another's by now.
    pub fn is_looked_up(&self) -> bool {
        self.peer.is_none() && !self.object.is_empty()
    }

    /// Whether it waits for another thread of user space: these are ranked apart.
    pub fn is_user_lock(&self) -> bool {
        waits_for_thread(narrow(self.nr) & !BEGAN_BEFORE)
    }

    /// Whether it is longer than one of its kind that is kept, or there is room.
    pub fn is_among(&self, kept: &[Self]) -> bool {
        let mut rivals = kept.iter().filter(|call| call.is_user_lock() == self.is_user_lock());
        rivals.nth(KEPT - 1).is_none_or(|last| self.wall_ns > last.wall_ns)
    }
}

/// Sorts, the longest first, and drops what is over, of each kind.
pub fn keep_longest(calls: &mut Vec<SlowestCall>) {
    calls.sort_by_key(|call| (std::cmp::Reverse(call.wall_ns), call.start_ns, call.tid));
    let mut room = [KEPT; KINDS];
    calls.retain(|call| {
        let room = &mut room[usize::from(call.is_user_lock())];
        let kept = *room > 0;
        *room = room.saturating_sub(1);
        kept
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::peer::Host;

    #[test]
    fn a_receive_is_about_its_own_peer_and_not_about_what_the_descriptor_became() {
        let host = Host::Ip([127, 0, 0, 77].into());
        let call = |object: &str, peer| SlowestCall {
            object: object.into(),
            object_unknown: "closed by now".into(),
            peer,
            ..SlowestCall::default()
        };
        let own = Some(Peer { host, port: 4711 });
        let both = "tcp 127.0.0.1:80 → 127.0.0.77:4711";
        assert_eq!(call(both, own).named(), both);
        let other = call("tcp 127.0.0.1:80 → 127.0.0.9:47", own);
        assert_eq!((&*other.named(), other.unnamed()), ("tcp → 127.0.0.77:4711", ""));
        assert!(!other.is_looked_up() && call(both, None).is_looked_up());
        assert_eq!(
            (call("", own).named(), call("", None).unnamed()),
            ("tcp → 127.0.0.77:4711".into(), "closed by now")
        );
    }

    #[test]
    fn each_kind_keeps_its_longest() {
        let call = |nr, wall_ns| SlowestCall { nr, wall_ns, ..SlowestCall::default() };
        let mut calls: Vec<_> = (1..=30).flat_map(|ns| [call(0, ns), call(202, 100 + ns)]).collect();
        keep_longest(&mut calls);
        assert_eq!(calls.len(), 2 * KEPT);
        assert!(calls[..KEPT].iter().all(SlowestCall::is_user_lock));
        assert_eq!((calls[KEPT].wall_ns, calls[2 * KEPT - 1].wall_ns), (30, 11));
        assert!(call(0, 12).is_among(&calls) && !call(0, 11).is_among(&calls));
        assert!(!call(202, 50).is_among(&calls) && call(202, 50).is_among(&calls[..KEPT - 1]));
    }
}
