//! Rows of receives that were waited for, and of CPU samples by peer.
//!
//! In: deltas of one interval. Out: totals per (process, call, peer), and per (address, stack), bounded: once
//! there are too many peers, a new one is kept without its port, and then without its address. Per process:
//! how many sends went to the peer received from last.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::probes::cpu::rows::CpuKey;
use crate::profile::call::CallNumber;
use crate::profile::folding::{Keys, rekey};
use crate::profile::histogram::Histogram;
use crate::profile::peer::{Host, Peer};
use crate::profile::process::Pid;
use crate::profile::row_set::{ENTRY, RowSet};
use crate::profile::stack::StackId;

/// Which receives a [`PeerRow`] sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerKey {
    /// Process.
    pub pid: Pid,
    /// The call that slept and received.
    pub nr: CallNumber,
    /// From whom.
    pub peer: Peer,
    /// Whether the process connected to the peer. If not, the connection was accepted, or its own port was bound by hand.
    pub connected: bool,
}

/// Receives of one [`PeerKey`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    /// How long each call slept.
    pub waits: Histogram,
    /// Wall time of these calls, ns.
    pub wall_ns: u64,
    /// Sum of the connections' shortest round trips, one for each call, µs.
    pub round_trip_us: u64,
}

/// Sends of threads that had received, compared with the connection that each received from last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sends {
    /// Sends.
    pub sends: u64,
    /// Of these, to another connection.
    pub astray: u64,
    /// CPU samples between a receive and the send after it.
    pub samples: u64,
    /// Of these, before a send to another connection.
    pub samples_astray: u64,
}

/// All rows of the probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerRows {
    /// By process, call and peer.
    pub rows: BTreeMap<PeerKey, PeerRow>,
    /// CPU samples by the address that their thread had received from last. Those of other threads are in the rows of samples only.
    pub samples: BTreeMap<Host, BTreeMap<CpuKey, u64>>,
    /// By process.
    pub sends: BTreeMap<Pid, Sends>,
    /// Numbers in the place of addresses, if they are not to be shown.
    #[serde(skip)]
    pub redacted: Option<BTreeMap<IpAddr, u32>>,
}

/// What the probe's rows are.
pub type Rows = PeerRows;

/// From this number of rows on, new rows have no port; from twice this number on, no address.
const KEPT: usize = 8_192;
/// Addresses of a session that CPU samples are kept by.
pub const HOSTS: usize = 1_024;
/// Rows of samples of a session from which on new ones have no address.
const SAMPLES: usize = 65_536;

impl Sends {
    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.sends = self.sends.saturating_add(other.sends);
        self.astray = self.astray.saturating_add(other.astray);
        self.samples = self.samples.saturating_add(other.samples);
        self.samples_astray = self.samples_astray.saturating_add(other.samples_astray);
    }
}

impl PeerRow {
    /// Adds other receives.
    pub fn merge(&mut self, other: &Self) {
        self.waits.merge(&other.waits);
        self.wall_ns = self.wall_ns.saturating_add(other.wall_ns);
        self.round_trip_us = self.round_trip_us.saturating_add(other.round_trip_us);
    }

    /// Mean of the round trips, ns; none: not known.
    pub fn round_trip_ns(&self) -> Option<u64> {
        let mean = self.round_trip_us.saturating_mul(1_000).checked_div(self.waits.count())?;
        (mean > 0).then_some(mean)
    }
}

impl PeerRows {
    /// A peer as it may be shown: rows of a part of the recording may come with what is redacted in the whole.
    pub fn shown(&self, peer: Peer) -> Peer {
        match (&self.redacted, peer.host) {
            (Some(numbers), Host::Ip(ip)) => {
                let host = numbers.get(&ip).map_or(Host::Others, |number| Host::Redacted(*number));
                Peer { host, ..peer }
            }
            _ => peer,
        }
    }

    /// Adds CPU samples of threads that had received.
    pub fn sampled(&mut self, host: Host, key: CpuKey, samples: u64) {
        let sum = self.samples.entry(host).or_default().entry(key).or_default();
        *sum = sum.saturating_add(samples);
    }

    fn add_samples(&mut self, delta: &BTreeMap<Host, BTreeMap<CpuKey, u64>>) {
        let mut room = SAMPLES.saturating_sub(self.samples.values().map(BTreeMap::len).sum());
        for (host, rows) in delta {
            for (key, samples) in rows {
                let known = self.samples.get(host);
                let (is_new, fits) = (
                    known.is_none_or(|rows| !rows.contains_key(key)),
                    known.is_some() || self.samples.len() < HOSTS,
                );
                let place = if is_new && (room == 0 || !fits) { Host::Others } else { *host };
                room = room.saturating_sub(usize::from(is_new));
                self.sampled(place, *key, *samples);
            }
        }
    }

    /// Where a row goes when there are so many already.
    fn place(&self, key: PeerKey) -> PeerKey {
        let without = |peer| PeerKey { peer, ..key };
        let port = without(Peer { port: 0, ..key.peer });
        match self.rows.len() {
            _ if self.rows.contains_key(&key) => key,
            0..KEPT => key,
            many if many < 2 * KEPT || self.rows.contains_key(&port) => port,
            _ => without(Peer { host: Host::Others, port: 0 }),
        }
    }
}

impl RowSet for PeerRows {
    fn add(&mut self, delta: &Self) {
        let Self { rows, samples, sends, redacted: _ } = delta;
        for (key, row) in rows {
            let place = self.place(*key);
            self.rows.entry(place).or_default().merge(row);
        }
        self.add_samples(samples);
        for (pid, row) in sends {
            self.sends.entry(*pid).or_default().merge(row);
        }
    }

    fn weigh(&self) -> u64 {
        let Self { rows, samples, sends, redacted: _ } = self;
        let entries = sends.len() + samples.values().map(BTreeMap::len).sum::<usize>();
        let rows = rows.values().map(|row| row.waits.weigh() + ENTRY);
        rows.fold(entries as u64 * ENTRY, u64::saturating_add)
    }

    fn stacks(&self, each: &mut dyn FnMut(StackId)) {
        let keys = self.samples.values().flat_map(BTreeMap::keys);
        keys.for_each(|key| [key.kernel, key.user].into_iter().for_each(&mut *each));
    }

    fn rekey(&mut self, keys: &dyn Keys) {
        let new = |key: &PeerKey| PeerKey { pid: keys.pid(key.pid), ..*key };
        rekey(&mut self.rows, new, PeerRow::merge);
        rekey(&mut self.sends, |pid| keys.pid(*pid), Sends::merge);
        for rows in self.samples.values_mut() {
            rekey(rows, |key| key.of(keys), |sum, row| *sum = sum.saturating_add(*row));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn interval(from: u32, count: u32, port: u16) -> PeerRows {
        let mut rows = PeerRows::default();
        for at in from..from + count {
            let host = Host::Ip(IpAddr::V4(Ipv4Addr::from(at)));
            let key = PeerKey { pid: Pid(7), nr: 0, peer: Peer { host, port }, connected: true };
            let mut row = PeerRow { wall_ns: 20, ..PeerRow::default() };
            row.waits.record(10);
            rows.rows.insert(key, row);
        }
        rows
    }

    fn sampled(from: u32, count: u32) -> PeerRows {
        let mut rows = PeerRows::default();
        for at in from..from + count {
            let key = CpuKey { pid: Pid(7), kernel: StackId::NONE, user: StackId(u64::from(at % 7)) };
            rows.sampled(Host::Ip(IpAddr::V4(Ipv4Addr::from(at))), key, 3);
        }
        rows
    }

    #[test]
    fn samples_of_addresses_without_end_lose_their_address_and_no_sample() {
        let mut rows = PeerRows::default();
        (0..3).for_each(|_| rows.add(&sampled(0, 1_000)));
        assert_eq!(rows.samples.len(), 1_000);
        rows.add(&sampled(1 << 20, 1_000));
        assert_eq!(rows.samples.len(), HOSTS + 1);
        rows.add(&sampled(0, 1));
        let all: u64 = rows.samples.values().flat_map(BTreeMap::values).sum();
        assert_eq!(all, 3 * 4_001);
        assert_eq!(rows.samples[&Host::Others].values().sum::<u64>(), 3 * (1_000 - 24));
    }

    #[test]
    fn peers_without_end_lose_their_ports_then_their_addresses_and_no_wait() {
        let mut rows = PeerRows::default();
        for port in 1..=4 {
            rows.add(&interval(0, KEPT as u32, port));
        }
        assert_eq!(rows.rows.len(), 2 * KEPT, "three of four ports are one row of each address");
        rows.add(&interval(1 << 20, KEPT as u32, 1));
        assert_eq!(rows.rows.len(), 2 * KEPT + 1);
        let waits: u64 = rows.rows.values().map(|row| row.waits.count()).sum();
        assert_eq!(waits, 5 * KEPT as u64);
        assert_eq!(rows.rows.keys().filter(|key| key.peer.host == Host::Others).count(), 1);
    }
}
