//! Rows of lock waits, from the kernel's to the profile's.
//!
//! In: the row maps, the contexts of kernel stacks. Out: one epoch's rows, CPUs summed, flags named; a wait in an interrupt
//! belongs to no process, so it goes to `Pid(0)`.

use anyhow::Result;
use aya::Ebpf;
use aya::maps::MapData;
use profiler_common::epoch_of;
use profiler_common::lock::{self as contract, READERS, flag};

use super::rows::{Holder, HolderKey, LockKey, LockRows};
use crate::collect::event::named;
use crate::collect::source::{Contexts, Drained, Source, hash_map, take};
use crate::profile::context::LockContext;
use crate::profile::ledger::Population;
use crate::profile::lock_kind::LockKind;
use crate::profile::{Class, Ledger, Pid, StackId};

/// Rows that wait for their stack at most; what is over goes without.
const LATE: usize = 16_384;

/// The row maps.
pub struct Maps {
    locks: MapData,
    held: MapData,
}

/// One epoch's rows.
#[derive(Default)]
pub struct Waits {
    locks: Vec<(contract::LockKey, contract::LockRow)>,
    held: Vec<(contract::HolderKey, contract::HolderRow)>,
}

impl Source for Maps {
    type Drained = Waits;

    fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self { locks: hash_map(ebpf, "LOCKS")?, held: hash_map(ebpf, "HOLDERS")? })
    }

    fn take(&mut self, finished: u32) -> Result<Waits> {
        Ok(Waits {
            locks: take(&self.locks, "LOCKS", |key: &contract::LockKey| epoch_of(key.writer) == finished)?,
            held: take(&self.held, "HOLDERS", |key: &contract::HolderKey| epoch_of(key.writer) == finished)?,
        })
    }
}

impl Drained for Waits {
    type Rows = LockRows;

    fn rename(&mut self, name: &mut dyn FnMut(&mut u64)) {
        self.locks.iter_mut().for_each(|(key, _)| name(&mut key.user));
    }

    fn add_to(&self, rows: &mut LockRows, ledger: &mut Ledger, contexts: &Contexts) {
        for (key, row) in &self.locks {
            let waits = row.slots.iter().map(|count| u64::from(*count)).sum();
            ledger.grow(Population::LockWaits, waits);
            let (octave, kernel) = (key.octave, StackId(key.kernel));
            let context = contexts.get(&kernel).copied().unwrap_or(LockContext::Task);
            let in_task = context == LockContext::Task;
            if !in_task {
                ledger.count(Class::InterruptLock, waits);
            }
            let key = LockKey {
                pid: Pid(if in_task { key.tgid } else { 0 }),
                kind: lock_kind(key.kind),
                context,
                lock: key.lock,
                kernel,
                user: if in_task { StackId(key.user) } else { StackId::NONE },
            };
            rows.rows.entry(key).or_default().wait.add_octave(octave, &row.slots, row.total_ns, row.max_ns);
        }
        self.holders(rows);
    }

    fn others(&self) -> Vec<(Pid, String)> {
        let holders = self.held.iter().map(|(key, _)| (key.holder.tgid, key.holder.comm));
        named(holders.filter(|(tgid, _)| *tgid != READERS))
    }

    /// A row is late when its stack is still to come: behind a record that another CPU is writing, or sent again when
    /// the ring buffer was full. Until then nobody knows whether an interrupt waited.
    fn hold_back(&mut self, late: &mut Self, contexts: &Contexts, ended: bool) {
        self.locks.append(&mut late.locks);
        if ended {
            return;
        }
        let known = |(key, _): &(contract::LockKey, contract::LockRow)| {
            let stack = StackId(key.kernel);
            stack == StackId::NONE || contexts.contains_key(&stack)
        };
        let (known, mut unknown): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.locks).into_iter().partition(known);
        self.locks = known;
        self.locks.extend(unknown.drain(unknown.len().min(LATE)..));
        late.locks = unknown;
    }
}

impl Waits {
    fn holders(&self, rows: &mut LockRows) {
        for (key, row) in &self.held {
            let key = HolderKey {
                pid: Pid(key.tgid),
                kind: lock_kind(key.kind),
                lock: key.lock,
                kernel: StackId(key.kernel),
                holder: match key.holder.tgid {
                    READERS => Holder::Readers,
                    tgid => Holder::Process(Pid(tgid)),
                },
            };
            let total = rows.holders.entry(key).or_default();
            total.waits = total.waits.saturating_add(row.waits);
            total.total_ns = total.total_ns.saturating_add(row.total_ns);
        }
    }
}

/// The kind of lock behind contention flags.
pub fn lock_kind(kind: u16) -> LockKind {
    let flags = u32::from(kind);
    let has = |bit| flags & bit != 0;
    match () {
        () if has(flag::MUTEX) => LockKind::Mutex,
        // An rtmutex passes no flags at all on the kernels seen so far.
        () if has(flag::RT) || flags == 0 => LockKind::Rtmutex,
        () if has(flag::PERCPU) && has(flag::WRITE) => LockKind::PercpuRwsemWrite,
        () if has(flag::PERCPU) => LockKind::PercpuRwsemRead,
        () if has(flag::SPIN) && has(flag::READ) => LockKind::RwlockRead,
        () if has(flag::SPIN) && has(flag::WRITE) => LockKind::RwlockWrite,
        () if has(flag::SPIN) => LockKind::Spin,
        () if has(flag::READ) => LockKind::RwsemRead,
        () if has(flag::WRITE) => LockKind::RwsemWrite,
        () => LockKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::writer;

    use super::*;

    #[test]
    fn time_waited_is_summed_by_holder_and_readers_are_one() {
        use profiler_common::lock::Holder as Held;
        let row = |cpu, holder, total_ns| {
            let holder = Held { tgid: holder, ..Held::default() };
            let kind = flag::MUTEX as u16;
            (
                contract::HolderKey {
                    tgid: 7,
                    kind,
                    holder,
                    writer: writer(cpu, 0),
                    ..contract::HolderKey::default()
                },
                contract::HolderRow { waits: 1, total_ns },
            )
        };
        let held = vec![row(0, 9, 5), row(1, 9, 6), row(0, READERS, 1)];
        let (mut rows, mut ledger) = (LockRows::default(), Ledger::default());
        Waits { held, ..Waits::default() }.add_to(&mut rows, &mut ledger, &Contexts::new());
        let found: Vec<_> =
            rows.holders.iter().map(|(key, row)| (key.holder, row.waits, row.total_ns)).collect();
        assert_eq!(found, [(Holder::Process(Pid(9)), 2, 11), (Holder::Readers, 1, 1)]);
    }

    #[test]
    fn flags_of_one_mutex_are_one_kind_in_every_phase() {
        assert_eq!(lock_kind(flag::MUTEX as u16), LockKind::Mutex);
        assert_eq!(lock_kind((flag::MUTEX | flag::SPIN) as u16), LockKind::Mutex);
        assert_eq!(lock_kind((flag::READ | flag::SPIN) as u16), LockKind::RwlockRead);
        assert_eq!(lock_kind(flag::READ as u16), LockKind::RwsemRead);
        assert_eq!(lock_kind(0), LockKind::Rtmutex);
    }
}
