//! Wait chains: what the thread that ends a long wait had itself waited for meanwhile.
//!
//! In: a thread that is woken after a long wait, and that comes back from it. Out: the row of its link; and
//! the link in the thread's memory, for the waits that the thread will end. An interrupt that ends a wait
//! hands no link on, because it has nothing to do with the thread that it interrupted.

use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::chain::{How, LinkKey, LinkRow, link};
use profiler_common::outcome::Outcome;
use profiler_state::chain::Wait;

use crate::blame::memory::{self, Memory};
use crate::outcome::count;
use crate::row::sum;
use crate::row::writer::this_writer;
use crate::task::{self, Task};

/// Links of long waits.
#[map]
static LINKS: HashMap<LinkKey, LinkRow> = HashMap::with_max_entries(16_384, 0);

/// The long wait of `task`, from `begin` until now, is ended by the running thread, or by an interrupt. `of`: which wait it is.
#[inline(always)]
pub fn woken(memory: &Memory, task: Task, (of, begin, now): (u64, u64, u64), in_task: bool) {
    if !in_task {
        memory.inherited.none(How::Interrupt);
    } else if let Some(waker) = memory::get(task::current()) {
        memory.inherited.take(&waker.recent, task::tid(task), (begin, now));
        if memory.inherited.cycle.get() != 0 {
            count(Outcome::ChainCycle, 1);
        }
        if memory.inherited.how() == How::Deep as u32 {
            count(Outcome::ChainCut, 1);
        }
    } else {
        memory.inherited.none(How::Ran);
    }
    memory.inherited.of.set(of);
}

/// A long wait that has ended.
pub struct Ended {
    /// Which one.
    pub of: u64,
    /// The process.
    pub tgid: u32,
    /// What for, and in which call.
    pub packed: u32,
    /// Its kernel stack.
    pub kernel: u64,
    /// When it ended.
    pub end_ns: u64,
    /// How long it was.
    pub ns: u64,
    /// `profiler_common::chain::OUTSIDE`, or 0.
    pub outside: u32,
}

/// Adds a wait of the thread `tid` to the row of its link, and remembers it; its link.
#[inline(never)]
pub fn ended(memory: &Memory, tid: u32, wait: &Ended) -> u64 {
    let inherited = &memory.inherited;
    if inherited.of.get() != wait.of {
        inherited.none(How::Unseen);
    }
    inherited.of.set(0);
    let (parent, explained_ns) = inherited.parent();
    let mut key = LinkKey {
        tgid: wait.tgid,
        packed: wait.packed,
        kernel: wait.kernel,
        parent,
        writer: this_writer(),
        how: inherited.how() | wait.outside,
    };
    add(&key, &LinkRow { waits: 1, total_ns: wait.ns, explained_ns, also_ns: 0 });
    key.how = How::Inherited as u32 | wait.outside;
    inherited.others(parent, |other, also_ns| {
        key.parent = other;
        add(&key, &LinkRow { also_ns, ..LinkRow::default() });
    });
    let (root, depth) = inherited.root(tid);
    let link = link(wait.tgid, wait.packed, wait.kernel, parent);
    let begin_ns = wait.end_ns.saturating_sub(wait.ns);
    memory.recent.add(&Wait { begin_ns, end_ns: wait.end_ns, link, root, depth });
    link
}

#[inline(never)]
fn add(key: &LinkKey, first: &LinkRow) -> u32 {
    sum::add(&LINKS, key, first, (Outcome::LinkRowFull, 1), |row| {
        row.waits += first.waits;
        row.total_ns += first.total_ns;
        row.explained_ns += first.explained_ns;
        row.also_ns += first.also_ns;
    });
    0
}
