//! Waits off the CPU, from the kernel's rows to the profile's.
//!
//! In: one epoch's [`Drained`] rows. Out: the delta of an interval; the processes outside the target that they name.

use std::collections::BTreeSet;

use profiler_common::wait::{self, NO_CALL, NO_WAKER};
use profiler_common::{cpu_of, lock};

use super::drain::Drained;
use super::event::comm;
use crate::profile::ledger::Population;
use crate::profile::waits::{NeighbourKey, QueueKey, Wait, WaitKey, WaitRows, WaitStackKey, Waker};
use crate::profile::{Class, Ledger, Pid, StackId};

impl Drained {
    /// Adds the waits to `rows`.
    pub(super) fn waits(&self, rows: &mut WaitRows, ledger: &mut Ledger) {
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
        self.wait_stacks(rows, ledger);
        for (from, row) in &self.neighbours {
            let key = NeighbourKey { pid: Pid(from.tgid), neighbour: Pid(from.neighbour) };
            let total = rows.neighbours.entry(key).or_default();
            total.turns += row.turns;
            total.ns += row.ns;
        }
    }

    fn wait_stacks(&self, rows: &mut WaitRows, ledger: &mut Ledger) {
        for (from, row) in &self.wait_stacks {
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

    /// Processes that waited, and those that woke them, each once.
    pub fn waiters(&self) -> BTreeSet<Pid> {
        let wakers = self.wait_stacks.iter().map(|(key, _)| key.waker.tgid);
        let wakers = wakers.filter(|tgid| !matches!(*tgid, 0 | NO_WAKER));
        self.waits.iter().map(|(key, _)| key.tgid).chain(wakers).map(Pid).collect()
    }

    /// Processes that the rows name beside those that they are of: holders of locks, neighbours on a CPU.
    pub fn others(&self) -> impl Iterator<Item = (Pid, String)> + '_ {
        let holders = self.owners.iter().map(|(key, _)| (key.holder.tgid, key.holder.comm));
        let holders = holders.filter(|(tgid, _)| *tgid != lock::READERS);
        let neighbours = self.neighbours.iter().map(|(key, _)| (key.neighbour, key.comm));
        let named = holders.chain(neighbours).filter(|(tgid, comm)| *tgid != 0 && comm[0] != 0);
        named.map(|(tgid, words)| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            (Pid(tgid), comm(&bytes))
        })
    }
}

fn key(tgid: u32, packed: u16) -> Option<WaitKey> {
    let (wait, nr) = wait::unpack(packed);
    let nr = (nr != NO_CALL).then(|| u32::from(nr));
    Some(WaitKey { pid: Pid(tgid), nr, wait: *Wait::ALL.get(wait as usize)? })
}

#[cfg(test)]
mod tests {
    use profiler_common::syscall::{LatencyKey, LatencyRow};
    use profiler_common::wait::{NeighbourRow, pack};
    use profiler_common::writer;

    use super::*;
    use crate::profile::Interval;

    #[test]
    fn a_wait_for_a_cpu_is_in_its_row_and_in_that_cpus_queue() {
        let row = |wait, cpu| {
            let nr = pack(wait as u32, u32::from(NO_CALL));
            let key = LatencyKey { tgid: 7, nr, octave: 1, pad: 0, writer: writer(cpu, 1) };
            (key, LatencyRow { slots: [1; 8], total_ns: 80, max_ns: 15 })
        };
        let waits = vec![row(Wait::Sleep, 0), row(Wait::Woken, 3), row(Wait::Preempted, 3)];
        let mut interval = Interval::default();
        Drained { waits, ..Drained::default() }.waits(&mut interval.waits, &mut interval.ledger);
        assert_eq!(interval.ledger.population(Population::Waits), 24);
        assert_eq!(interval.waits.rows.len(), 3);
        assert!(interval.waits.rows.keys().all(|key| key.nr.is_none()));
        let queues: Vec<_> = interval.waits.queues.iter().map(|(key, row)| (key.cpu, row.total_ns)).collect();
        assert_eq!(queues, [(3, 160)]);
    }

    #[test]
    fn a_wait_that_does_not_exist_is_counted_and_others_have_names() {
        let key = LatencyKey { tgid: 7, nr: 7 << 12, octave: 1, pad: 0, writer: 0 };
        let drained = Drained { waits: vec![(key, LatencyRow::default())], ..Drained::default() };
        let mut interval = Interval::default();
        drained.waits(&mut interval.waits, &mut interval.ledger);
        assert_eq!(interval.ledger.get(Class::Implausible), 1);
        let key = |neighbour, comm| wait::NeighbourKey { neighbour, comm, ..Default::default() };
        let name = u64::from_ne_bytes(*b"batch\0\0\0");
        let neighbours =
            [key(0, [name, 0]), key(9, [name, 0]), key(8, [0, 0])].map(|key| (key, NeighbourRow::default()));
        let drained = Drained { neighbours: neighbours.to_vec(), ..Drained::default() };
        assert_eq!(drained.others().collect::<Vec<_>>(), [(Pid(9), "batch".to_owned())]);
    }
}
