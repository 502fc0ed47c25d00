//! Who ran on a CPU while others waited for it.
//!
//! In: every switch of this CPU. Out: rows of (process that waited, process that ran), for long waits.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use profiler_common::outcome::Outcome;
use profiler_common::wait::{NeighbourKey, NeighbourRow};

use crate::global::offset;
use crate::maps::{NEIGHBOURS, TURNS};
use crate::outcome::{busy, count};
use crate::row::this_writer;
use crate::task::{self, Task};

/// Turns a CPU remembers, a power of two; what a wait is longer than these is nobody's.
pub const REMEMBERED: usize = 32;

/// A thread's turn on the CPU; it began when the one before ended.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Turn {
    /// The task's address.
    task: u64,
    /// When it left, ns.
    until_ns: u64,
    /// Its process.
    tgid: u32,
    /// Explicit padding.
    pad: u32,
}

/// The last turns on one CPU.
#[repr(C)]
pub struct Turns {
    /// How many there were.
    count: u64,
    /// By that count.
    turns: [Turn; REMEMBERED],
}

/// `prev` leaves this CPU.
#[inline(always)]
pub fn left(prev: Task, now: u64) {
    let Some(turns) = TURNS.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own value.
    let turns = unsafe { &mut *turns };
    turns.turns[turns.count as usize & (REMEMBERED - 1)] =
        Turn { task: task::address(prev), until_ns: now, tgid: task::tgid(prev), pad: 0 };
    turns.count += 1;
}

/// Shares the wait of a process, from `since` to `now`, among those who ran here meanwhile. A global function: the
/// verifier walks its loop once.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn blame(tgid: u32, since: u64, now: u64) -> u32 {
    let Some(turns) = TURNS.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own value.
    let turns = unsafe { &*turns };
    let mut end = now;
    for back in 1..REMEMBERED as u64 {
        if end <= since || turns.count < back + 1 {
            break;
        }
        let turn = turns.turns[turns.count.wrapping_sub(back) as usize & (REMEMBERED - 1)];
        let before = turns.turns[turns.count.wrapping_sub(back + 1) as usize & (REMEMBERED - 1)].until_ns;
        let begin = if before > since { before } else { since };
        add(tgid, &turn, end.saturating_sub(begin));
        end = begin;
    }
    if end > since {
        count(Outcome::NeighbourForgotten, 1);
    }
    0
}

#[inline(never)]
fn add(tgid: u32, turn: &Turn, ns: u64) -> u32 {
    let mut key = NeighbourKey { tgid, neighbour: turn.tgid, comm: [0; 2], writer: this_writer(), pad: 0 };
    let mut owner = 0u32;
    // SAFETY: the helper checks the addresses; a task that was freed meanwhile is some other by now, or none.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut owner).cast(),
            4,
            (turn.task + offset!(task_tgid) as u64) as *const _,
        );
        if owner == turn.tgid {
            let name = (turn.task + offset!(task_comm) as u64) as *const _;
            bpf_probe_read_kernel(key.comm.as_mut_ptr().cast(), 16, name);
        }
    }
    if let Some(row) = NEIGHBOURS.get_ptr_mut(&key) {
        // SAFETY: this CPU is the row's only writer.
        unsafe {
            (*row).turns += 1;
            (*row).ns += ns;
        }
    } else if busy(|| NEIGHBOURS.insert(&key, &NeighbourRow { turns: 1, ns }, 0)).is_err() {
        count(Outcome::NeighbourRowFull, 1);
    }
    0
}
