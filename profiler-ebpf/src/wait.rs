//! What a lock wait that ended adds: to its row of `LOCKS`, or to the count of our own locks' waits.
//!
//! Produces: wait rows per (process, kind, static lock, stacks) and octave; time waited by holder.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use profiler_common::histogram::{SLOTS, slot_in};
use profiler_common::lock::{LockKey, LockRow, OwnerKey, OwnerRow};
use profiler_common::outcome::Outcome;
use profiler_common::writer;

use crate::maps::{LOCKS, OWNERS};
use crate::outcome::{busy, count};
use crate::row::octave_of;
use crate::state::Wait;
use crate::{global, process};

/// Adds a wait that ended at `now`; those for our own locks are only counted.
#[inline(always)]
pub fn add(wait: &Wait, now: u64) {
    let ns = now.saturating_sub(wait.begin_ns);
    if wait.own != 0 {
        count(Outcome::OwnLock, 1);
        count(Outcome::OwnLockNs, ns);
        return;
    }
    let key = LockKey {
        tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        kind: wait.kind as u16,
        pad: 0,
        octave: octave_of(ns) as u8,
        lock: wait.named,
        kernel: wait.kernel,
        user: wait.user,
        // SAFETY: the helper has no preconditions.
        writer: writer(unsafe { bpf_get_smp_processor_id() }, global::epoch()),
        pad2: 0,
    };
    add_row(&key, ns);
    if wait.owner.tgid != 0 {
        let owner = OwnerKey {
            tgid: key.tgid,
            kind: key.kind,
            pad: 0,
            lock: key.lock,
            kernel: key.kernel,
            holder: wait.owner,
            writer: key.writer,
            pad2: 0,
        };
        add_owner(&owner, ns);
    }
}

/// As [`add_row`], for who held the lock.
#[inline(never)]
fn add_owner(key: &OwnerKey, ns: u64) -> u32 {
    if let Some(row) = OWNERS.get_ptr_mut(key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe {
            (*row).waits += 1;
            (*row).total_ns += ns;
        }
    } else if busy(|| OWNERS.insert(key, &OwnerRow { waits: 1, total_ns: ns }, 0)).is_err() {
        count(Outcome::LockOwnerFull, 1);
    }
    0
}

/// Adds a wait to its row. The contended lock is held here: see docs/decisions.md for why taking
/// a bucket lock of our own map below it cannot deadlock.
#[inline(never)]
fn add_row(key: &LockKey, ns: u64) -> u32 {
    let index = slot_in(key.octave, ns) & (SLOTS - 1);
    if let Some(row) = LOCKS.get_ptr_mut(key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe {
            (*row).slots[index] += 1;
            (*row).total_ns += ns;
            if ns > (*row).max_ns {
                (*row).max_ns = ns;
            }
        }
        return 0;
    }
    let mut row = LockRow { slots: [0; SLOTS], total_ns: ns, max_ns: ns };
    row.slots[index] = 1;
    if busy(|| LOCKS.insert(key, &row, 0)).is_err() {
        count(Outcome::LockRowFull, 1);
    }
    process::announce(key.tgid);
    0
}
