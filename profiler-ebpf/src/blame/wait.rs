//! Long waits of the target's threads, handed on to `chain` and `held`.
//!
//! In: a thread that is woken after a long wait, and that comes back from it. Out: its chain, and who held the lock it waited for.

use profiler_state::thread::Thread;

use crate::blame::chain::Ended;
use crate::blame::{chain, held, memory, outsider};
use crate::clock::now_ns;
use crate::task::{self, Task};
use crate::thread::record;

/// `task`, which has slept for long, is about to be woken; `in_task`: by the thread that runs here.
#[inline(never)]
pub fn woken(thread: &Thread, task: Task, in_task: u32) -> u32 {
    if in_task != 0 && record::get(task::current()).is_none() {
        outsider::follow_current();
    }
    let Some(memory) = memory::get_or_make(task) else { return 0 };
    let wait = (thread.slice.switches.get(), thread.slice.out_ns.get(), now_ns());
    chain::woken(memory, task, wait, in_task != 0);
    held::woken(memory, thread, task, in_task);
    0
}

/// A thread without record, which has slept for long since `begin`, is about to be woken.
#[inline(never)]
pub fn woken_outside(task: Task, in_task: u32) -> u32 {
    if in_task != 0 && record::get(task::current()).is_none() {
        outsider::follow_current();
    }
    if let Some(memory) = memory::get(task) {
        let begin = memory.out_ns.get();
        chain::woken(memory, task, (begin, begin, memory.woken_ns.get()), in_task != 0);
    }
    0
}

/// `task` comes back from a long wait: of `ns`, with its call packed, and its kernel stack.
#[inline(never)]
pub fn ended(thread: &Thread, task: Task, ns: u64, (packed, kernel): (u32, u64)) -> u32 {
    let (tgid, slice) = (task::tgid(task), &thread.slice);
    if let Some(memory) = memory::get_or_make(task) {
        let woken = slice.woken_ns.get();
        let end_ns = if woken == 0 { slice.on_ns.get() } else { woken };
        let wait = Ended { of: slice.switches.get(), tgid, packed, kernel, end_ns, ns, outside: 0 };
        let link = chain::ended(memory, task::tid(task), &wait);
        if thread.in_call() {
            memory.link.add(thread.enter_ns.get(), ns, link);
        }
    }
    held::ended(thread, task, tgid, ns);
    0
}
