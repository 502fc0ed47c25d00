//! Rows of receives, of CPU samples by peer and of sends, from the kernel's to the profile's.
//!
//! In: the row maps. Out: one epoch's rows, CPUs and octaves summed.

use std::collections::BTreeSet;

use anyhow::Result;
use aya::Ebpf;
use aya::maps::MapData;
use profiler_common::peer::{self as contract, CONNECTED};
use profiler_common::{abi, epoch_of};

use super::rows::{PeerKey, PeerRow, PeerRows, Sends};
use crate::collect::source::{Contexts, Drained, Source, hash_map, take};
use crate::probes::cpu::rows::CpuKey;
use crate::profile::peer::Peer;
use crate::profile::{Ledger, Pid, StackId};

/// The row maps.
pub struct Maps {
    rows: MapData,
    samples: MapData,
    sends: MapData,
}

/// One epoch's rows.
#[derive(Default)]
pub struct Receives {
    rows: Vec<(contract::PeerKey, contract::PeerRow)>,
    samples: Vec<(contract::SampleKey, u64)>,
    sends: Vec<(contract::SendKey, contract::SendRow)>,
}

impl Source for Maps {
    type Drained = Receives;

    fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            rows: hash_map(ebpf, "PEERS")?,
            samples: hash_map(ebpf, "PEER_SAMPLES")?,
            sends: hash_map(ebpf, "PEER_SENDS")?,
        })
    }

    fn take(&mut self, finished: u32) -> Result<Receives> {
        let of = |writer| epoch_of(writer) == finished;
        Ok(Receives {
            rows: take(&self.rows, "PEERS", |key: &contract::PeerKey| of(key.writer))?,
            samples: take(&self.samples, "PEER_SAMPLES", |key: &contract::SampleKey| of(key.sample.writer))?,
            sends: take(&self.sends, "PEER_SENDS", |key: &contract::SendKey| of(key.writer))?,
        })
    }
}

impl Drained for Receives {
    type Rows = PeerRows;

    fn rename(&mut self, name: &mut dyn FnMut(&mut u64)) {
        self.samples.iter_mut().for_each(|(key, _)| name(&mut key.sample.user));
    }

    fn add_to(&self, rows: &mut PeerRows, _: &mut Ledger, _: &Contexts) {
        for (from, row) in &self.rows {
            let key = PeerKey {
                pid: Pid(from.tgid),
                nr: abi::wide(u32::from(from.nr)),
                peer: Peer::of(from.address, from.port),
                connected: from.flags & CONNECTED != 0,
            };
            let total: &mut PeerRow = rows.rows.entry(key).or_default();
            total.waits.add_octave(from.octave, &row.slots, row.wait_ns, row.wait_max_ns);
            total.wall_ns = total.wall_ns.saturating_add(row.wall_ns);
            total.round_trip_us = total.round_trip_us.saturating_add(row.round_trip_us);
        }
        for (key, samples) in &self.samples {
            let sample = &key.sample;
            let cpu =
                CpuKey { pid: Pid(sample.tgid), kernel: StackId(sample.kernel), user: StackId(sample.user) };
            rows.sampled(Peer::of(key.address, 0).host, cpu, *samples);
        }
        for (key, row) in &self.sends {
            let contract::SendRow { sends, astray, samples, samples_astray } = *row;
            let row = Sends { sends, astray, samples, samples_astray };
            rows.sends.entry(Pid(key.tgid)).or_default().merge(&row);
        }
    }

    fn unannounced(&self) -> Vec<Pid> {
        let sends = self.sends.iter().map(|(key, _)| key.tgid);
        let all: BTreeSet<u32> = self.rows.iter().map(|(key, _)| key.tgid).chain(sends).collect();
        all.into_iter().map(Pid).collect()
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::histogram::{octave, slot};
    use profiler_common::writer;

    use super::*;

    #[test]
    fn rows_of_two_cpus_and_of_all_octaves_become_one() {
        let one = |cpu, ns: u64, flags| {
            let key = contract::PeerKey {
                address: contract::mapped(u32::from_ne_bytes([10, 0, 0, 7])),
                tgid: 12,
                writer: writer(cpu, 1),
                port: 5432,
                nr: 45,
                octave: octave(ns),
                flags,
                pad: 0,
            };
            let mut row =
                contract::PeerRow { wait_ns: ns, wait_max_ns: ns, wall_ns: ns + 5, ..Default::default() };
            row.slots[slot(ns)] = 1;
            row.round_trip_us = 40;
            (key, row)
        };
        let drained = vec![one(0, 100, CONNECTED), one(1, 9_000, CONNECTED), one(1, 7, 0)];
        let mut rows = PeerRows::default();
        Receives { rows: drained, ..Receives::default() }.add_to(
            &mut rows,
            &mut Ledger::default(),
            &Contexts::new(),
        );
        let found: Vec<_> = rows.rows.iter().collect();
        assert_eq!(found.len(), 2);
        let (key, row) = found[1];
        assert_eq!((key.pid, key.nr, key.connected), (Pid(12), 45, true));
        assert_eq!(key.peer.to_string(), "10.0.0.7:5432");
        assert_eq!(
            (row.waits.count(), row.waits.total_ns, row.waits.max_ns, row.wall_ns),
            (2, 9_100, 9_000, 9_110)
        );
        assert_eq!(row.round_trip_ns(), Some(40_000));
    }
}
