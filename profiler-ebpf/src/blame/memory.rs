//! What is remembered of threads with long waits.
//!
//! In: a task. Out: its memory, in a table that is allocated at the start: where threads are woken nothing may be allocated. An
//! entry goes with its thread.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use profiler_common::outcome::Outcome;
use profiler_common::user_lock::Holder;
use profiler_state::chain::Recent;
use profiler_state::field::Field;
use profiler_state::inherited::Inherited;

use crate::outcome::{busy, count};
use crate::task::{self, Task};

/// Memories, by the task's address.
#[map]
static MEMORIES: HashMap<u64, Memory> = HashMap::with_max_entries(8_192, 0);
/// New entries are copied from this. It is never written.
#[map]
static NEW_MEMORY: Array<Memory> = Array::with_max_entries(1, 0);

/// A thread's memory. CPUs that wake the thread write it, and its own CPU.
#[repr(C)]
pub struct Memory {
    /// Who held the lock of its latest long wait for one.
    pub held: Kept,
    /// The same of the longest such wait of its call.
    pub longest: Kept,
    /// Its last long waits.
    pub recent: Recent,
    /// What its latest long wait took over.
    pub inherited: Inherited,
    /// The link of the longest wait of its call.
    pub link: LinkOfCall,
    /// Of a thread without record: since when it sleeps; 0: it does not.
    pub out_ns: Field<u64>,
    /// When it was woken; 0: not yet.
    pub woken_ns: Field<u64>,
    /// What it waits for.
    pub wait: Field<u32>,
    pad: Field<u32>,
}

/// The link of the longest wait of a call.
#[repr(C)]
pub struct LinkOfCall {
    /// Which call.
    of: Field<u64>,
    ns: Field<u64>,
    link: Field<u64>,
}

impl LinkOfCall {
    /// A wait of `ns` in the call `of`.
    #[inline(always)]
    pub fn add(&self, of: u64, ns: u64, link: u64) {
        if self.of.get() != of || ns > self.ns.get() {
            self.of.set(of);
            self.ns.set(ns);
            self.link.set(link);
        }
    }
}

/// A holder, as it is kept.
#[repr(C)]
pub struct Kept {
    /// Which wait, or which call; 0: none.
    pub of: Field<u64>,
    /// How long it was, ns.
    pub ns: Field<u64>,
    tgid: Field<u32>,
    tid: Field<u32>,
    told: Field<u32>,
    ending: Field<u32>,
    comm: [Field<u64>; 2],
    /// 1: the holder ended the wait.
    pub ended_by_holder: Field<u64>,
}

impl Kept {
    /// The holder.
    #[inline(always)]
    pub fn holder(&self) -> Holder {
        let [first, second] = &self.comm;
        Holder {
            tgid: self.tgid.get(),
            tid: self.tid.get(),
            told: self.told.get(),
            ending: self.ending.get(),
            comm: [first.get(), second.get()],
        }
    }

    /// Notes a holder.
    #[inline(always)]
    pub fn set_holder(&self, holder: &Holder) {
        let [first, second] = &self.comm;
        self.tgid.set(holder.tgid);
        self.tid.set(holder.tid);
        self.told.set(holder.told);
        self.ending.set(holder.ending);
        first.set(holder.comm[0]);
        second.set(holder.comm[1]);
    }
}

/// A thread's memory, if it has one.
#[inline(always)]
pub fn get(task: Task) -> Option<&'static Memory> {
    // SAFETY: the value's memory is the map's for good. Any bits are a `Memory`; all its words are fields that may be shared.
    MEMORIES.get_ptr(&task::address(task)).map(|memory| unsafe { &*memory })
}

/// A thread's memory, made if it has none. A thread that ends gets none: nobody would remove it.
#[inline(always)]
pub fn get_or_make(task: Task) -> Option<&'static Memory> {
    if let Some(memory) = get(task) {
        return Some(memory);
    }
    if task::is_ending(task) {
        return None;
    }
    let (address, new) = (task::address(task), NEW_MEMORY.get(0)?);
    if busy(|| MEMORIES.insert(&address, new, u64::from(BPF_NOEXIST))).is_err() {
        count(Outcome::MemoryFull, 1);
    }
    get(task)
}

/// The running thread ends.
#[inline(always)]
pub fn forget(task: Task) {
    if get(task).is_some() {
        let _ = busy(|| MEMORIES.remove(&task::address(task)));
    }
}
