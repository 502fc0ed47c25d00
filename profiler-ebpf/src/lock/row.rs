//! A lock wait that ended is added to its row of `LOCKS`, or to the count of waits for our own locks.
//!
//! Produces: wait rows per (process, kind, static lock, stacks) and octave; time waited by holder.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::histogram::{SLOTS, slot_in};
use profiler_common::lock::{HolderKey, HolderRow, LockKey, LockRow};
use profiler_common::outcome::Outcome;
use profiler_state::lock_wait::LockWait;

use crate::outcome::count;
use crate::process::announce;
use crate::row::sum;
use crate::row::writer::{octave_of, this_writer};

/// Lock waits.
#[map]
static LOCKS: HashMap<LockKey, LockRow> = HashMap::with_max_entries(16_384, 0);
/// Who held the locks that were waited for.
#[map]
static HOLDERS: HashMap<HolderKey, HolderRow> = HashMap::with_max_entries(4_096, 0);

/// Adds a wait that ended at `now`, and closes it; those for our own locks are only counted.
#[inline(always)]
pub fn add(wait: &LockWait, now: u64) {
    let ns = now.saturating_sub(wait.begin_ns.get());
    if wait.own.get() != 0 {
        wait.lock.set(0);
        count(Outcome::OwnLock, 1);
        count(Outcome::OwnLockNs, ns);
        return;
    }
    let key = LockKey {
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        kind: wait.kind.get() as u16,
        pad: 0,
        octave: octave_of(ns) as u8,
        lock: wait.named.get(),
        kernel: wait.kernel.get(),
        user: wait.user.get(),
        writer: this_writer(),
        pad2: 0,
    };
    let holder = wait.holder();
    // All that is needed of it is read: its place may be another wait's from here on.
    wait.lock.set(0);
    add_row(&key, ns);
    if holder.tgid != 0 {
        let holder = HolderKey {
            tgid: key.tgid,
            kind: key.kind,
            pad: 0,
            lock: key.lock,
            kernel: key.kernel,
            holder,
            writer: key.writer,
            pad2: 0,
        };
        add_holder(&holder, ns);
    }
}

/// As [`add_row`], for who held the lock.
#[inline(never)]
fn add_holder(key: &HolderKey, ns: u64) -> u32 {
    sum::add(&HOLDERS, key, &HolderRow { waits: 1, total_ns: ns }, (Outcome::LockOwnerFull, 1), |row| {
        row.waits += 1;
        row.total_ns += ns;
    });
    0
}

/// Adds a wait to its row. The contended lock is held here: see docs/decisions.md for why taking
/// a bucket lock of our own map below it cannot deadlock.
#[inline(never)]
fn add_row(key: &LockKey, ns: u64) -> u32 {
    let index = slot_in(key.octave, ns) & (SLOTS - 1);
    let mut first = LockRow { slots: [0; SLOTS], total_ns: ns, max_ns: ns };
    first.slots[index] = 1;
    let new = sum::add(&LOCKS, key, &first, (Outcome::LockRowFull, 1), |row| {
        row.slots[index] += 1;
        row.total_ns += ns;
        if ns > row.max_ns {
            row.max_ns = ns;
        }
    });
    if new {
        announce::process(key.tgid);
    }
    0
}
