//! Threads outside the target that end waits of the target: their own long waits are links of chains, too.
//!
//! In: switches and wakeups of threads that have no record. Out: their waits, in their memories and in the
//! rows of links. A thread is followed from the first long wait that it ends. A table of words, indexed by
//! thread number, marks who is followed; any other thread costs one look at its word.

use profiler_common::chain::OUTSIDE;
use profiler_common::event::NOT_IN_CALL;
use profiler_common::stack::NO_STACK;
use profiler_common::wait::{NO_CALL, pack};
use profiler_state::away;
use profiler_state::field::Field;

use crate::blame::{chain, memory};
use crate::clock::now_ns;
use crate::stack::buffer::Buffer;
use crate::syscall::asked;
use crate::task::{self, Task};
use crate::{global, stack};

/// Numbers that are told apart.
const NUMBERS: usize = 4096;

/// 1: a thread with such a number is followed. Another one with that number costs a look-up.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.outsiders")]
static OUTSIDERS: [Field<u32>; NUMBERS] = [const { Field::new(0) }; NUMBERS];

/// Whether a thread without record may be followed.
#[inline(always)]
pub fn may_be(task: Task) -> bool {
    OUTSIDERS[task::tid(task) as usize % NUMBERS].get() != 0
}

/// The running thread, which has no record, has ended a long wait.
#[inline(always)]
pub fn follow_current() {
    let task = task::current();
    if memory::get_or_make(task).is_some() {
        OUTSIDERS[task::tid(task) as usize % NUMBERS].set(1);
    }
}

/// Such a thread leaves the CPU.
#[inline(never)]
pub fn leaves(task: Task, state: u32, now: u64) -> u32 {
    if let Some(memory) = memory::get(task) {
        memory.woken_ns.set(0);
        memory.wait.set(away::asleep_in(state) as u32);
        memory.out_ns.set(if state == 0 { 0 } else { now });
    }
    0
}

/// Such a thread comes back.
#[inline(never)]
pub fn comes_back(task: Task, now: u64) -> u32 {
    let Some(memory) = memory::get(task) else { return 0 };
    let (begin, woken) = (memory.out_ns.get(), memory.woken_ns.get());
    memory.out_ns.set(0);
    let end_ns = if woken >= begin { woken } else { now };
    if begin == 0 || end_ns.saturating_sub(begin) < global::wait_min_ns() {
        return 0;
    }
    let kernel = stack::of_task(task, Buffer::Switch);
    if kernel == NO_STACK {
        return 0;
    }
    // A number, no option: the verifier refuses the undefined value of one that is none where it is moved.
    let nr = if task::is_kernel_thread(task) { NOT_IN_CALL } else { asked::of(task).unwrap_or(NOT_IN_CALL) };
    let nr = if nr == NOT_IN_CALL { u32::from(NO_CALL) } else { nr };
    let ended = chain::Ended {
        of: begin,
        tgid: task::tgid(task),
        packed: u32::from(pack(memory.wait.get(), nr)),
        kernel,
        end_ns,
        ns: end_ns - begin,
        outside: OUTSIDE,
    };
    chain::ended(memory, task::tid(task), &ended);
    0
}

/// Such a thread is about to be woken; whether its wait was long.
#[inline(always)]
pub fn wakes(task: Task) -> bool {
    let Some(memory) = memory::get(task) else { return false };
    let begin = memory.out_ns.get();
    if begin == 0 || memory.woken_ns.get() != 0 {
        return false;
    }
    let now = now_ns();
    memory.woken_ns.set(now);
    now.saturating_sub(begin) >= global::wait_min_ns()
}
