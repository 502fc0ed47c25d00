//! Long waits for locks of user space, by lock and holder.
//!
//! In: a thread that is woken after a long wait, and that comes back from it. Out: the row of its lock and holder. The holder is looked
//! for when the wait ends: most often it runs right there. A number alone names nobody: see `find`.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::abi::BEGAN_BEFORE;
use profiler_common::calls::waits_for_thread;
use profiler_common::outcome::Outcome;
use profiler_common::user_lock::{HeldKey, HeldRow, Holder, SHARED, Told, names_thread, unpack};
use profiler_state::thread::Thread;

use crate::blame::memory::{self, Kept, Memory};
use crate::blame::{number, owner};
use crate::global::offset;
use crate::row::sum;
use crate::row::writer::this_writer;
use crate::task::number::own;
use crate::task::read::read;
use crate::task::{self, Task};

/// Who held the locks of user space that were waited for.
#[map]
static HELD: HashMap<HeldKey, HeldRow> = HashMap::with_max_entries(8_192, 0);

/// Nobody is named, for this reason.
const fn nobody(told: u32) -> Holder {
    Holder { tgid: 0, tid: 0, told, ending: 0, comm: [0; 2] }
}

/// `task`, which has slept for long, is about to be woken; `in_task`: by the thread that runs here.
#[inline(always)]
pub fn woken(memory: &Memory, thread: &Thread, task: Task, in_task: u32) {
    let owner = thread.slice.owner.get();
    if owner != 0 && names_thread(unpack(owner).0) {
        find(&memory.held, task, owner, in_task);
        memory.held.of.set(thread.slice.switches.get());
    }
}

/// Finds the holder of the lock that `task` waits for, and keeps it. A lock that only its own process uses is held by a thread of
/// that process. One that others may use can have an owner of another pid namespace, where the same number is another thread: its
/// holder is the thread that ends the wait, if it has that number in its own namespace; else whoever ends the wait must be of the
/// waiter's namespace, as the holder itself must be.
#[inline(never)]
fn find(kept: &Kept, task: Task, owner: u32, in_task: u32) -> u32 {
    let (told, tid) = unpack(owner);
    kept.ended_by_holder.set(0);
    let found = thread_of(task, owner, in_task);
    if found <= STRANGER {
        kept.set_holder(&Holder {
            tid,
            ..nobody(if found == ENDED { Told::Ended } else { Told::Stranger } as u32)
        });
        return 0;
    }
    let (Some(tgid), Some(holder)) =
        (read::<u32>(found + offset!(task_tgid) as u64), read::<u32>(found + offset!(task_pid) as u64))
    else {
        kept.set_holder(&Holder { tid, ..nobody(Told::Ended as u32) });
        return 0;
    };
    if owner & SHARED == 0 && tgid != task::tgid(task) {
        kept.set_holder(&Holder { tid, ..nobody(Told::Stranger as u32) });
        return 0;
    }
    let ending = u32::from(read::<u32>(found + offset!(task_flags) as u64).unwrap_or(0) & task::EXITING != 0);
    let comm = read(found + offset!(task_comm) as u64).unwrap_or([0; 2]);
    kept.set_holder(&Holder { tgid, tid: holder, told, ending, comm });
    kept.ended_by_holder.set(u64::from(in_task != 0 && bpf_get_current_pid_tgid() as u32 == holder));
    0
}

/// In the place of a thread's address: no thread has the number.
const ENDED: u64 = 0;
/// The same: it may be another thread's. Addresses are above.
const STRANGER: u64 = 1;

/// The holder's address, [`ENDED`] or [`STRANGER`].
#[inline(always)]
fn thread_of(task: Task, owner: u32, in_task: u32) -> u64 {
    let (told, tid) = unpack(owner);
    let Some((namespace, _)) = own(task::address(task)) else { return STRANGER };
    if owner & SHARED == 0 || told == Told::Priority as u32 {
        return number::task_of_number(namespace, tid);
    }
    if in_task == 0 {
        return STRANGER;
    }
    let Some((wakers, waker)) = own(task::address(task::current())) else { return STRANGER };
    if waker == tid {
        return number::task_of_number(wakers, tid);
    }
    let found = if wakers == namespace { number::task_of_number(namespace, tid) } else { STRANGER };
    match own(found) {
        Some((of, _)) if found > STRANGER && of != namespace => STRANGER,
        _ => found,
    }
}

/// `task` comes back from a long wait of `ns`, inside of a call for locks of user space or not.
#[inline(always)]
pub fn ended(thread: &Thread, task: Task, tgid: u32, ns: u64) {
    if thread.in_call() && waits_for_thread(thread.nr.get() & !BEGAN_BEFORE) {
        add(thread, task, tgid, ns);
    }
}

#[inline(never)]
fn add(thread: &Thread, task: Task, tgid: u32, ns: u64) -> u32 {
    let owner = thread.slice.owner.get();
    let (told, _) = unpack(owner);
    let mut key = HeldKey {
        tgid,
        writer: this_writer(),
        lock: 0,
        holder: nobody(if owner == 0 { Told::Unread as u32 } else { told }),
    };
    let mut by_holder = 0;
    if names_thread(key.holder.told) {
        key.holder = nobody(Told::Unread as u32);
        if let Some(memory) = memory::get_or_make(task) {
            if memory.held.of.get() != thread.slice.switches.get() {
                find(&memory.held, task, owner, 0);
            }
            memory.held.of.set(0);
            key.holder = memory.held.holder();
            by_holder = memory.held.ended_by_holder.get();
            keep_longest(&memory.longest, &key.holder, thread.enter_ns.get(), ns);
        }
        if names_thread(key.holder.told) {
            key.lock = owner::lock_of(task);
        }
    }
    let first = HeldRow { waits: 1, total_ns: ns, max_ns: ns, ended_by_holder: by_holder };
    sum::add(&HELD, &key, &first, (Outcome::HeldRowFull, 1), |row| {
        row.waits += 1;
        row.total_ns += ns;
        if ns > row.max_ns {
            row.max_ns = ns;
        }
        row.ended_by_holder += by_holder;
    });
    0
}

#[inline(always)]
fn keep_longest(longest: &Kept, holder: &Holder, call: u64, ns: u64) {
    if longest.of.get() != call || ns > longest.ns.get() {
        longest.set_holder(holder);
        longest.of.set(call);
        longest.ns.set(ns);
    }
}

/// Who held the lock of the longest wait of the running thread's call.
#[inline(always)]
pub fn in_call(thread: &Thread) -> Holder {
    let owner = thread.slice.owner.get();
    if owner == 0 {
        return nobody(Told::Unread as u32);
    }
    let kept = memory::get(task::current()).filter(|memory| memory.longest.of.get() == thread.enter_ns.get());
    match kept {
        Some(memory) => memory.longest.holder(),
        None => {
            let (told, _) = unpack(owner);
            nobody(if names_thread(told) { Told::Unread as u32 } else { told })
        }
    }
}
