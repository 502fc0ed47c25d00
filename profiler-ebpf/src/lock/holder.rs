//! Who holds a sleeping lock when a wait for it begins.
//!
//! In: a mutex or rwsem. Out: process and name of the task in its owner word. All of it is read by
//! helper: if the task is just exiting, the only loss is the holder.

use profiler_common::lock::{Holder, READERS, flag};
use profiler_state::lock_wait::NOBODY;

use crate::global::{self, offset};
use crate::task::read::read;

/// `RWSEM_READER_OWNED` (kernel/locking/rwsem.c): readers hold it, and the word is only the last of them.
const READER_OWNED: u64 = 1;
/// Bits of the owner word that are flags.
const FLAGS: u64 = 7;
/// Highest process id.
const TGID_MAX: u32 = 1 << 22;

/// The holder of a mutex or rwsem; nobody for other kinds of locks, or if the lock has just been released.
#[inline(always)]
pub fn of(lock: u64, kind: u32) -> Holder {
    if global::have_offsets() == 0 || kind & (flag::RT | flag::PERCPU) != 0 || kind == 0 {
        return NOBODY;
    }
    of_sleeping(lock, kind & flag::MUTEX != 0).unwrap_or(NOBODY)
}

#[inline(always)]
fn of_sleeping(lock: u64, mutex: bool) -> Option<Holder> {
    let word: u64 = read(lock + if mutex { offset!(mutex_owner) } else { offset!(rwsem_owner) } as u64)?;
    if !mutex && word & READER_OWNED != 0 {
        return Some(Holder { tgid: READERS, ..NOBODY });
    }
    let task = word & !FLAGS;
    if task == 0 {
        return None;
    }
    let tgid: u32 = read(task + offset!(task_tgid) as u64)?;
    if tgid > TGID_MAX {
        return None;
    }
    let leader: u64 = read(task + offset!(task_group_leader) as u64)?;
    Some(Holder { tgid, pad: 0, comm: read(leader + offset!(task_comm) as u64)? })
}
