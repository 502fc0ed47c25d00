//! Kernel rows to profile rows: CPUs summed, flags named, interrupts told apart.
//!
//! In: one epoch's [`Drained`] rows. Out: the delta of an interval and its populations.

use profiler_common::lock::{READERS, flag};
use profiler_common::lsm;
use profiler_common::syscall::source;

use super::drain::Drained;
use crate::profile::ledger::Population;
use crate::profile::parts::{Part, PartKey, Parts};
use crate::profile::rows::{
    CpuKey, CpuRow, CpuRows, Holder, HolderKey, LockContext, LockKey, LockKind, LockRows, LsmKey, LsmRows,
    LsmStackKey, SlowKey, StackSource, SyscallRows,
};
use crate::profile::slowest::{SlowestCall, keep_longest};
use crate::profile::{Class, Interval, Ledger, Pid, StackId, Tid};

impl Drained {
    /// Adds these rows to an interval. `context` tells from a kernel stack whether it was taken in
    /// an interrupt: such a wait is nobody's, so it goes to `Pid(0)`.
    pub fn add_to(&self, interval: &mut Interval, context: impl Fn(StackId) -> LockContext) {
        self.syscalls(&mut interval.syscall, &mut interval.ledger);
        self.lock_waits(&mut interval.lock, &mut interval.ledger, context);
        self.lsm_times(&mut interval.lsm, &mut interval.ledger);
        self.holders(&mut interval.lock);
        self.waits(&mut interval.waits, &mut interval.ledger);
        self.cpu_samples(&mut interval.cpu, &mut interval.ledger);
    }

    fn syscalls(&self, rows: &mut SyscallRows, ledger: &mut Ledger) {
        for (key, row) in &self.latency {
            let total = rows.rows.entry((Pid(key.tgid), u32::from(key.nr))).or_default();
            total.latency.add_octave(key.octave, &row.slots, row.total_ns, row.max_ns);
            ledger.grow(Population::Calls, row.calls());
        }
        for (key, count) in &self.errors {
            let total = rows.rows.entry((Pid(key.tgid), u32::from(key.nr))).or_default();
            *total.errors.entry(key.errno).or_default() += count;
        }
        for (key, row) in &self.slow {
            let key = SlowKey {
                pid: Pid(key.tgid),
                nr: key.nr,
                kernel: StackId(key.kernel),
                user: StackId(key.user),
                source: match key.source {
                    source::WAIT => StackSource::Wait,
                    source::SAMPLE => StackSource::Sample,
                    source::SPIN => StackSource::Spin,
                    _ => StackSource::None,
                },
            };
            let total = rows.slow.entry(key).or_default();
            total.count += row.count;
            total.total_ns += row.total_ns;
            total.max_ns = total.max_ns.max(row.max_ns);
            let parts = Parts::new(row.parts);
            total.off_cpu_ns += parts.off_cpu_ns();
            total.parts.add(&parts);
        }
        self.parts(rows, ledger);
    }

    fn parts(&self, rows: &mut SyscallRows, ledger: &mut Ledger) {
        for (key, row) in &self.parts {
            let Some(part) = Part::ALL.get(key.part as usize) else {
                ledger.count(Class::Implausible, 1);
                continue;
            };
            let (pid, kernel) = (Pid(key.tgid), StackId(key.kernel));
            let total = rows.parts.entry(PartKey { pid, nr: key.nr, part: *part, kernel }).or_default();
            total.ns += row.ns;
            total.calls += row.calls;
        }
    }

    /// The longest calls of the interval; the session began at `session_ns`, monotonic.
    pub fn slowest(&self, session_ns: u64) -> Vec<SlowestCall> {
        let calls = self.slowest.iter().map(|call| SlowestCall {
            pid: Pid(call.tgid),
            tid: Tid(call.tid),
            nr: call.nr,
            start_ns: call.enter_ns.saturating_sub(session_ns),
            wall_ns: call.wall_ns,
            ret: call.ret,
            arguments: call.arguments,
            object: String::new(),
            object_unknown: String::new(),
            parts: Parts::new(call.parts),
            kernel: StackId(call.kernel),
            user: StackId(call.user),
        });
        let mut calls = calls.collect();
        keep_longest(&mut calls);
        calls
    }

    fn lock_waits(&self, rows: &mut LockRows, ledger: &mut Ledger, context: impl Fn(StackId) -> LockContext) {
        for (key, row) in &self.locks {
            let waits = row.slots.iter().map(|count| u64::from(*count)).sum();
            ledger.grow(Population::LockWaits, waits);
            let (octave, kernel) = (key.octave, StackId(key.kernel));
            let context = context(kernel);
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
    }

    fn lsm_times(&self, rows: &mut LsmRows, ledger: &mut Ledger) {
        let key = |tgid, site, nr| LsmKey {
            pid: Pid(tgid),
            site,
            nr: (nr != lsm::NO_NR && tgid != 0).then(|| u32::from(nr)),
        };
        for (from, row) in &self.lsm {
            ledger.grow(Population::LsmReturns, row.calls());
            let total = rows.rows.entry(key(from.tgid, from.site, from.nr)).or_default();
            total.time.add_octave(from.octave as u8, &row.slots, row.total_ns, row.max_ns);
        }
        for (from, ns) in &self.lsm_stacks {
            let row = key(from.tgid, from.site, from.nr);
            let key = LsmStackKey { row, kernel: StackId(from.kernel), user: StackId(from.user) };
            *rows.stacks.entry(key).or_default() += ns;
        }
    }

    fn holders(&self, rows: &mut LockRows) {
        for (key, row) in &self.owners {
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

    fn cpu_samples(&self, rows: &mut CpuRows, ledger: &mut Ledger) {
        for (key, samples) in &self.samples {
            ledger.grow(Population::Samples, *samples);
            let key = CpuKey { pid: Pid(key.tgid), kernel: StackId(key.kernel), user: StackId(key.user) };
            let row: &mut CpuRow = rows.rows.entry(key).or_default();
            row.samples += samples;
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
    use profiler_common::histogram::{octave, slot};
    use profiler_common::syscall::{LatencyKey, LatencyRow};
    use profiler_common::writer;

    use super::*;

    #[test]
    fn rows_of_two_cpus_become_one() {
        let row = |cpu, ns: u64| {
            let mut row = LatencyRow { total_ns: ns, max_ns: ns, ..LatencyRow::default() };
            row.slots[slot(ns)] = 1;
            (LatencyKey { tgid: 7, nr: 0, octave: octave(ns), pad: 0, writer: writer(cpu, 1) }, row)
        };
        let drained =
            Drained { latency: vec![row(0, 1000), row(1, 1000), row(1, 9000)], ..Drained::default() };
        let mut interval = Interval::default();
        drained.add_to(&mut interval, |_| LockContext::Task);
        let latency = &interval.syscall.rows[&(Pid(7), 0)].latency;
        assert_eq!((latency.count(), latency.total_ns, latency.max_ns), (3, 11_000, 9000));
        assert_eq!(interval.ledger.population(Population::Calls), 3);
    }

    #[test]
    fn time_waited_is_summed_by_holder_and_readers_are_one() {
        use profiler_common::lock::{Holder as Held, OwnerKey, OwnerRow};
        let row = |cpu, holder, total_ns| {
            let holder = Held { tgid: holder, ..Held::default() };
            let kind = flag::MUTEX as u16;
            (
                OwnerKey { tgid: 7, kind, holder, writer: writer(cpu, 0), ..OwnerKey::default() },
                OwnerRow { waits: 1, total_ns },
            )
        };
        let owners = vec![row(0, 9, 5), row(1, 9, 6), row(0, READERS, 1)];
        let mut interval = Interval::default();
        Drained { owners, ..Drained::default() }.add_to(&mut interval, |_| LockContext::Task);
        let found: Vec<_> =
            interval.lock.holders.iter().map(|(key, row)| (key.holder, row.waits, row.total_ns)).collect();
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
