//! This CPU's slot: the call of the thread that runs here, as long as it runs.
//!
//! In: enter, exit, sample, switch. Out: the same record, without a storage look-up; the verdict of
//! the target filter is kept in it for one time slice.

use profiler_common::stack::NO_STACK;
use profiler_common::syscall::Slot;

use crate::maps::SLOTS;
use crate::state::{Parts, Thread, flag};
use crate::task::Task;
use crate::thread;

/// This CPU's slot.
#[inline(always)]
pub fn get() -> Option<&'static mut Slot> {
    // SAFETY: this CPU's own value; programs do not migrate.
    SLOTS.get_ptr_mut(0).map(|slot| unsafe { &mut *slot })
}

/// The slot, if it is about `task`.
#[inline(always)]
pub fn of(task: Task) -> Option<&'static mut Slot> {
    let slot = get()?;
    if slot.owner == task as u64 { Some(slot) } else { None }
}

/// Begins a call in the slot; the caller has set owner, verdict and ids.
#[inline(always)]
pub fn enter(slot: &mut Slot, nr: u32, now: u64) {
    slot.nr = nr;
    slot.sample_stack = NO_STACK;
    slot.enter_ns = now;
    slot.in_call = 1;
}

/// What the slot's call is made of: it never left the CPU.
#[inline(always)]
pub fn parts(slot: &Slot) -> Parts {
    Parts { off_cpu_ns: 0, longest_ns: 0, wait_stack: NO_STACK, sample_stack: slot.sample_stack }
}

/// Whether `task`, which runs here, is inside a call, as far as is known.
#[inline(always)]
pub fn in_call(task: Task) -> bool {
    if let Some(slot) = of(task)
        && slot.in_call != 0
    {
        return true;
    }
    match thread::get(task) {
        Some(thread) => thread.flags & flag::IN_CALL != 0,
        None => false,
    }
}

/// Moves the slot's call to the thread's own state: it leaves the CPU, or needs more than a slot.
#[inline(always)]
pub fn save(slot: &mut Slot, thread: &mut Thread) {
    thread.nr = slot.nr;
    thread.enter_ns = slot.enter_ns;
    thread.parts = parts(slot);
    thread.flags = flag::KNOWN | flag::IN_CALL;
    slot.in_call = 0;
}

/// The slot's thread ends: the call it was in, if any.
#[inline(always)]
pub fn leave(task: Task) -> Option<u32> {
    let slot = of(task)?;
    let in_call = slot.in_call != 0;
    slot.owner = 0;
    slot.in_call = 0;
    if in_call { Some(slot.nr) } else { None }
}
