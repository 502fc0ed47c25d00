//! Waits for a CPU.
//!
//! In: a thread that is switched in. Out: the row of its wait; for a long wait, also who ran meanwhile.

use profiler_state::thread::Thread;

use crate::global;
use crate::row::at_hand;
use crate::row::waits::{Waits, add_wait, counts, packed};
use crate::runq::neighbour;
use crate::task::{self, Task};

/// `task` waited for a CPU, since `since`.
#[inline(always)]
pub fn add(thread: &Thread, task: Task, wait: u32, (since, now): (u64, u64)) {
    let tgid = task::tgid(task);
    if global::runq_rows() != 0 && counts(tgid) {
        add_queued(tgid, u32::from(packed(thread, wait)), since, now);
    }
}

/// As [`add`], for a wait during which no program saw who ran.
#[inline(always)]
pub fn add_unseen(thread: &Thread, task: Task, wait: u32, ns: u64) {
    let tgid = task::tgid(task);
    if global::runq_rows() != 0 && counts(tgid) {
        add_wait(tgid, u32::from(packed(thread, wait)), ns);
    }
}

/// A global function: the verifier walks it once, not once for every caller.
#[unsafe(no_mangle)]
#[inline(never)]
fn add_queued(tgid: u32, packed: u32, since: u64, now: u64) -> u32 {
    let ns = now.saturating_sub(since);
    at_hand::add::<Waits>(tgid, packed as u16, ns);
    if ns >= global::wait_min_ns() {
        neighbour::share(tgid, since, now);
    }
    0
}
