//! Rows of waits off the CPU, from the kernel's to the profile's.
//!
//! In: the row maps. Out: one epoch's rows, CPUs summed; the processes outside the target that they name.

use std::collections::BTreeSet;

use anyhow::Result;
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use profiler_common::syscall::{CachedRows, LatencyKey, LatencyRow};
use profiler_common::wait::{self as contract, NO_CALL, NO_WAKER};
use profiler_common::{abi, cpu_of, epoch_of};

use super::rows::{NeighbourKey, QueueKey, WaitKey, WaitRows, WaitStackKey, Waker};
use crate::collect::event::named;
use crate::collect::source::{Contexts, Drained, Source, hash_map, map, take, take_cached};
use crate::probes::blame::drain as blame;
use crate::profile::ledger::Population;
use crate::profile::wait::Wait;
use crate::profile::{Class, Ledger, Pid, StackId};

/// The row maps.
pub struct Maps {
    waits: MapData,
    cache: PerCpuArray<MapData, CachedRows>,
    stacks: MapData,
    neighbours: MapData,
    blame: blame::Maps,
}

/// One epoch's rows.
#[derive(Default)]
pub struct OffCpu {
    /// Waits, with the CPU they ended on.
    waits: Vec<(LatencyKey, LatencyRow)>,
    /// Stacks of long ones.
    stacks: Vec<(contract::WaitStackKey, contract::WaitStackRow)>,
    /// Who ran while others waited for a CPU.
    neighbours: Vec<(contract::NeighbourKey, contract::NeighbourRow)>,
    /// Who is to blame.
    blame: blame::Blamed,
}

impl Source for Maps {
    type Drained = OffCpu;

    fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            waits: hash_map(ebpf, "WAITS")?,
            cache: PerCpuArray::try_from(map(ebpf, "WAIT_CACHE")?)?,
            stacks: hash_map(ebpf, "WAIT_STACKS")?,
            neighbours: hash_map(ebpf, "NEIGHBOURS")?,
            blame: Source::new(ebpf)?,
        })
    }

    fn take(&mut self, finished: u32) -> Result<OffCpu> {
        let mut waits = take(&self.waits, "WAITS", |key: &LatencyKey| epoch_of(key.writer) == finished)?;
        take_cached(&mut self.cache, finished, &mut waits)?;
        let of = |key: &contract::WaitStackKey| epoch_of(key.writer) == finished;
        let stacks = take(&self.stacks, "WAIT_STACKS", of)?;
        let of = |key: &contract::NeighbourKey| epoch_of(key.writer) == finished;
        let neighbours = take(&self.neighbours, "NEIGHBOURS", of)?;
        Ok(OffCpu { waits, stacks, neighbours, blame: self.blame.take(finished)? })
    }
}

impl Drained for OffCpu {
    type Rows = WaitRows;

    fn rename(&mut self, name: &mut dyn FnMut(&mut u64)) {
        for (key, _) in &mut self.stacks {
            name(&mut key.user);
            name(&mut key.waker.user);
        }
    }

    fn add_to(&self, rows: &mut WaitRows, ledger: &mut Ledger, contexts: &Contexts) {
        for (from, row) in &self.waits {
            let Some(key) = key(from.tgid, from.nr) else {
                ledger.count(Class::Implausible, 1);
                continue;
            };
            ledger.grow(Population::Waits, row.calls());
            let total = rows.rows.entry(key).or_default();
            total.add_octave(from.octave, &row.slots, row.total_ns, row.max_ns);
            if key.wait.is_runnable() {
                let queue = QueueKey { pid: key.pid, cpu: cpu_of(from.writer) };
                let total = rows.queues.entry(queue).or_default();
                total.add_octave(from.octave, &row.slots, row.total_ns, row.max_ns);
            }
        }
        self.stacks(rows, ledger);
        self.blame.add_to(&mut rows.blame, ledger, contexts);
        for (from, row) in &self.neighbours {
            let key = NeighbourKey { pid: Pid(from.tgid), neighbour: Pid(from.neighbour) };
            let total = rows.neighbours.entry(key).or_default();
            total.turns += row.turns;
            total.ns += row.ns;
        }
    }

    /// Processes that waited, and those that woke them, each once.
    fn unannounced(&self) -> Vec<Pid> {
        let wakers = self.stacks.iter().map(|(key, _)| key.waker.tgid);
        let wakers = wakers.filter(|tgid| !matches!(*tgid, 0 | NO_WAKER));
        let waiters = self.waits.iter().map(|(key, _)| key.tgid);
        let all: BTreeSet<Pid> = waiters.chain(wakers).map(Pid).chain(self.blame.unannounced()).collect();
        all.into_iter().collect()
    }

    /// Neighbours on a CPU.
    fn others(&self) -> Vec<(Pid, String)> {
        named(self.neighbours.iter().map(|(key, _)| (key.neighbour, key.comm)))
    }
}

impl OffCpu {
    fn stacks(&self, rows: &mut WaitRows, ledger: &mut Ledger) {
        for (from, row) in &self.stacks {
            let Some(key) = key(from.tgid, from.packed as u16) else {
                ledger.count(Class::Implausible, 1);
                continue;
            };
            let (kernel, user) = (StackId(from.waker.kernel), StackId(from.waker.user));
            let waker = match from.waker.tgid {
                NO_WAKER => Waker::Unseen,
                0 => Waker::Interrupt { kernel },
                pid if from.waker.on_top != 0 => Waker::OnTop { pid: Pid(pid), kernel },
                pid => Waker::Process { pid: Pid(pid), kernel, user },
            };
            let (kernel, user) = (StackId(from.kernel), StackId(from.user));
            let total = rows.stacks.entry(WaitStackKey { row: key, kernel, user, waker }).or_default();
            total.waits += row.waits;
            total.total_ns += row.total_ns;
            total.max_ns = total.max_ns.max(row.max_ns);
        }
    }
}

fn key(tgid: u32, packed: u16) -> Option<WaitKey> {
    let (wait, nr) = contract::unpack(packed);
    let nr = (nr != NO_CALL).then(|| abi::wide(u32::from(nr)));
    Some(WaitKey { pid: Pid(tgid), nr, wait: *Wait::ALL.get(wait as usize)? })
}

#[cfg(test)]
mod tests {
    use profiler_common::wait::pack;
    use profiler_common::writer;

    use super::*;

    #[test]
    fn a_wait_for_a_cpu_is_in_its_row_and_in_that_cpus_queue() {
        let row = |wait, cpu| {
            let nr = pack(wait as u32, u32::from(NO_CALL));
            let key = LatencyKey { tgid: 7, nr, octave: 1, pad: 0, writer: writer(cpu, 1) };
            (key, LatencyRow { slots: [1; 8], total_ns: 80, max_ns: 15 })
        };
        let waits = vec![row(Wait::Sleep, 0), row(Wait::Woken, 3), row(Wait::Preempted, 3)];
        let (mut rows, mut ledger) = (WaitRows::default(), Ledger::default());
        OffCpu { waits, ..OffCpu::default() }.add_to(&mut rows, &mut ledger, &Contexts::new());
        assert_eq!(ledger.population(Population::Waits), 24);
        assert_eq!(rows.rows.len(), 3);
        assert!(rows.rows.keys().all(|key| key.nr.is_none()));
        let queues: Vec<_> = rows.queues.iter().map(|(key, row)| (key.cpu, row.total_ns)).collect();
        assert_eq!(queues, [(3, 160)]);
    }

    #[test]
    fn a_wait_that_does_not_exist_is_counted_and_others_have_names() {
        let key = LatencyKey { tgid: 7, nr: 7 << 12, octave: 1, pad: 0, writer: 0 };
        let drained = OffCpu { waits: vec![(key, LatencyRow::default())], ..OffCpu::default() };
        let (mut rows, mut ledger) = (WaitRows::default(), Ledger::default());
        drained.add_to(&mut rows, &mut ledger, &Contexts::new());
        assert_eq!(ledger.get(Class::Implausible), 1);
        let key = |neighbour, comm| contract::NeighbourKey { neighbour, comm, ..Default::default() };
        let name = u64::from_ne_bytes(*b"batch\0\0\0");
        let neighbours = [key(0, [name, 0]), key(9, [name, 0]), key(8, [0, 0])]
            .map(|key| (key, contract::NeighbourRow::default()));
        let drained = OffCpu { neighbours: neighbours.to_vec(), ..OffCpu::default() };
        assert_eq!(drained.others(), [(Pid(9), "batch".to_owned())]);
    }
}
