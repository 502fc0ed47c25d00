//! Receives that were waited for, a line for each (process, call, peer).
//!
//! In: rows. Out: lines, those that were waited for longest first.

use std::cmp::Reverse;

use super::rows::{PeerKey, PeerRow};
use crate::profile::Profile;
use crate::render::syscalls::CallClass;

/// Receives of one (process, call, peer).
pub struct PeerLine<'p> {
    /// Whose, by which call, from whom.
    pub key: &'p PeerKey,
    /// All of them.
    pub row: &'p PeerRow,
}

impl PeerLine<'_> {
    /// What ranks it: how long its calls slept, ns.
    pub fn weight(&self) -> u64 {
        self.row.waits.total_ns
    }

    /// What its waits are.
    pub const fn class(&self) -> CallClass {
        class(self.key.connected)
    }
}

/// Waiting for a peer that the process connected to is work; a peer that connected to the process sends new
/// work.
pub const fn class(connected: bool) -> CallClass {
    if connected { CallClass::Work } else { CallClass::Idle }
}

/// All lines, the heaviest first.
pub fn peers(profile: &Profile) -> Vec<PeerLine<'_>> {
    let mut lines: Vec<_> = profile.peer.rows.iter().map(|(key, row)| PeerLine { key, row }).collect();
    lines.sort_by_key(|line| Reverse(line.weight()));
    lines
}
