//! Rows of long waits by who is to blame, from the kernel's to the profile's.
//!
//! In: the row maps. Out: one epoch's rows, CPUs summed; the processes that they name.

use std::collections::BTreeSet;

use anyhow::Result;
use aya::Ebpf;
use aya::maps::MapData;
use profiler_common::wait::{NO_CALL, unpack};
use profiler_common::{abi, chain, epoch_of, user_lock as contract};

use super::rows::{BlameRows, HeldKey, How, LinkKey, LinkRow, LockHolder, Told};
use crate::collect::source::{Contexts, Drained, Source, hash_map, take};
use crate::profile::wait::Wait;
use crate::profile::{Class, Ledger, Pid, StackId, Tid};

/// The row maps.
pub struct Maps {
    links: MapData,
    held: MapData,
}

/// One epoch's rows.
#[derive(Default)]
pub struct Blamed {
    links: Vec<(chain::LinkKey, chain::LinkRow)>,
    held: Vec<(contract::HeldKey, contract::HeldRow)>,
}

impl Source for Maps {
    type Drained = Blamed;

    fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self { links: hash_map(ebpf, "LINKS")?, held: hash_map(ebpf, "HELD")? })
    }

    fn take(&mut self, finished: u32) -> Result<Blamed> {
        let links = take(&self.links, "LINKS", |key: &chain::LinkKey| epoch_of(key.writer) == finished)?;
        let held = take(&self.held, "HELD", |key: &contract::HeldKey| epoch_of(key.writer) == finished)?;
        Ok(Blamed { links, held })
    }
}

impl Drained for Blamed {
    type Rows = BlameRows;

    fn rename(&mut self, _: &mut dyn FnMut(&mut u64)) {}

    fn add_to(&self, rows: &mut BlameRows, ledger: &mut Ledger, _: &Contexts) {
        for (from, row) in &self.held {
            let Some(holder) = holder(&from.holder) else {
                ledger.count(Class::Implausible, row.waits);
                continue;
            };
            let total =
                rows.held.entry(HeldKey { pid: Pid(from.tgid), lock: from.lock, holder }).or_default();
            total.waits += row.waits;
            total.total_ns += row.total_ns;
            total.max_ns = total.max_ns.max(row.max_ns);
            total.ended_by_holder += row.ended_by_holder;
        }
        for (from, row) in &self.links {
            let Some(key) = link(from) else {
                ledger.count(Class::Implausible, row.waits);
                continue;
            };
            rows.links.entry(key).or_default().add(&LinkRow {
                waits: row.waits,
                total_ns: row.total_ns,
                explained_ns: row.explained_ns,
                also_ns: row.also_ns,
            });
        }
    }

    /// Processes that held a lock, or that chains name, inside the target or outside.
    fn unannounced(&self) -> Vec<Pid> {
        let holders = self.held.iter().map(|(key, _)| key.holder.tgid).filter(|tgid| *tgid != 0);
        let all: BTreeSet<u32> = holders.chain(self.links.iter().map(|(key, _)| key.tgid)).collect();
        all.into_iter().map(Pid).collect()
    }
}

/// A link, from the kernel's; none for one that cannot be.
fn link(from: &chain::LinkKey) -> Option<LinkKey> {
    let (wait, nr) = unpack(from.packed as u16);
    Some(LinkKey {
        link: chain::link(from.tgid, from.packed, from.kernel, from.parent),
        parent: from.parent,
        how: *How::ALL.get((from.how & !chain::OUTSIDE) as usize)?,
        pid: Pid(from.tgid),
        outside: from.how & chain::OUTSIDE != 0,
        nr: (nr != NO_CALL).then(|| abi::wide(u32::from(nr))),
        wait: *Wait::ALL.get(wait as usize)?,
        kernel: StackId(from.kernel),
    })
}

/// A holder, from the kernel's; none for one that cannot be.
pub fn holder(from: &contract::Holder) -> Option<LockHolder> {
    Some(LockHolder {
        told: *Told::ALL.get(from.told as usize)?,
        pid: Pid(from.tgid),
        tid: Tid(from.tid),
        ending: from.ending != 0,
        comm: from.comm,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_two_cpus_become_one_and_a_reason_that_does_not_exist_is_counted() {
        let key = |writer, told| contract::HeldKey {
            tgid: 7,
            writer,
            lock: 0x10,
            holder: contract::Holder { tgid: 7, tid: 9, told, ..contract::Holder::default() },
        };
        let row = contract::HeldRow { waits: 2, total_ns: 30, max_ns: 20, ended_by_holder: 1 };
        let glibc = Told::Glibc as u32;
        let drained = Blamed {
            held: vec![(key(0, glibc), row), (key(1, glibc), row), (key(1, 99), row)],
            ..Blamed::default()
        };
        let (mut rows, mut ledger) = (BlameRows::default(), Ledger::default());
        drained.add_to(&mut rows, &mut ledger, &Contexts::new());
        assert_eq!(ledger.get(Class::Implausible), 2);
        let held: Vec<_> =
            rows.held.iter().map(|(key, row)| (key.holder.tid.0, row.waits, row.max_ns)).collect();
        assert_eq!(held, [(9, 4, 20)]);
        assert_eq!(drained.unannounced(), [Pid(7)]);
    }
}
