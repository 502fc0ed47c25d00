//! What processes do inside the target's cgroups: the first program executed, the last that ended.
//!
//! In: the running task at exec and at its end. Out: instances that begin, and when one was last alive.

use profiler_common::follow::{NO_ID, change};
use profiler_common::global::CGROUPS;
use profiler_state::thread::flag;

use crate::follow::instance::{EXECUTED, begin, mount_namespace, tell};
use crate::global;
use crate::target::{cgroup, place};
use crate::task::Task;
use crate::thread::{record, slot};

/// In `EXECUTED`: a program was executed in the cgroup. No address of a namespace.
const DONE: u64 = 1;

/// The running process became another program: the first inside an instance begins it.
#[inline(always)]
pub fn executed(task: Task) {
    for index in 0..CGROUPS {
        if index as u32 >= global::cgroup_count() {
            break;
        }
        // SAFETY: inside the array; its words are written whole.
        let place = unsafe { &mut *place::followed(index) };
        // SAFETY: as above.
        let awaited = unsafe { (&raw const place.awaited).read_volatile() };
        if awaited == NO_ID
            || !cgroup::holds((awaited, place.awaited_level), task)
            || place.outside != 0 && place.outside == mount_namespace(task)
        {
            continue;
        }
        begin(place, awaited, place.awaited_level);
        enter(task);
        tell(index as u32, change::BEGAN, place);
    }
    if global::tell_cgroups() != 0 {
        note(task);
    }
}

/// Notes the execution in a cgroup that user space is still asking about.
#[inline(always)]
fn note(task: Task) {
    if let Some(outside) = EXECUTED.get_ptr_mut(&cgroup::own_id(task)) {
        // SAFETY: an aligned word of the map's value.
        unsafe {
            if outside.read_volatile() != mount_namespace(task) {
                outside.write_volatile(DONE);
            }
        }
    }
}

/// The running thread is the target's from here on: what its CPU knew of it is no longer true, and the call that it is
/// in began before.
#[inline(always)]
fn enter(task: Task) {
    if let Some(slot) = slot::get() {
        slot::forget(slot);
    }
    if let Some(thread) = record::get_or_create(task) {
        thread.flags.set(flag::SEEDED);
    }
}

/// The target lost a process of this cgroup.
#[inline(always)]
pub fn ended(task: Task, now: u64) {
    for index in 0..CGROUPS {
        if index as u32 >= global::cgroup_count() {
            return;
        }
        if cgroup::holds(place::counted(index), task) {
            // SAFETY: inside the array; a word, written whole.
            unsafe { (&raw mut (*place::followed(index)).ended_ns).write_volatile(now) };
        }
    }
}
