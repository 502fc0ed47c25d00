//! Who ran on a CPU while others waited for it.
//!
//! In: every switch of this CPU. Out: rows of (process that waited, process that ran), for long waits.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray};
use profiler_common::outcome::Outcome;
use profiler_common::wait::{NeighbourKey, NeighbourRow};
use profiler_state::turns::{Turn, Turns};

use crate::global::offset;
use crate::outcome::count;
use crate::row::sum;
use crate::row::writer::this_writer;
use crate::task::read::read;
use crate::task::{self, Task};

/// Who ran while others waited for a CPU.
#[map]
static NEIGHBOURS: HashMap<NeighbourKey, NeighbourRow> = HashMap::with_max_entries(16_384, 0);
/// The last turns on each CPU.
#[map]
static TURNS: PerCpuArray<Turns> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
fn turns() -> Option<&'static Turns> {
    // SAFETY: this CPU's own value, for good. All its words are fields that may be shared.
    TURNS.get_ptr(0).map(|turns| unsafe { &*turns })
}

/// `prev` leaves this CPU.
#[inline(always)]
pub fn left(prev: Task, now: u64) {
    if let Some(turns) = turns() {
        turns.add(&Turn { task: task::address(prev), until_ns: now, tgid: task::tgid(prev) });
    }
}

/// Divides the wait of a process, from `since` to `now`, among the processes that ran here meanwhile. A global function:
/// the verifier walks its loop once.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn share(tgid: u32, since: u64, now: u64) -> u32 {
    if let Some(turns) = turns()
        && !turns.share(since, now, |turn, ns| {
            add(tgid, turn.task, turn.tgid, ns);
        })
    {
        count(Outcome::NeighbourForgotten, 1);
    }
    0
}

#[inline(never)]
fn add(tgid: u32, task: u64, neighbour: u32, ns: u64) -> u32 {
    let key = NeighbourKey { tgid, neighbour, comm: comm(task, neighbour), writer: this_writer(), pad: 0 };
    let first = NeighbourRow { turns: 1, ns };
    sum::add(&NEIGHBOURS, &key, &first, (Outcome::NeighbourRowFull, 1), |row| {
        row.turns += 1;
        row.ns += ns;
    });
    0
}

/// The name of a task that may be gone. Then its address belongs to another task, or to none.
#[inline(always)]
fn comm(task: u64, tgid: u32) -> [u64; 2] {
    match read::<u32>(task + offset!(task_tgid) as u64) {
        Some(found) if found == tgid => read(task + offset!(task_comm) as u64).unwrap_or([0; 2]),
        _ => [0; 2],
    }
}
