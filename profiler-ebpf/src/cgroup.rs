//! A task's cgroup, by walking from the task: one way for v2 and for v1 controllers.
//!
//! In: a task. Out: the id (inode) of its cgroup, or of its ancestor at a level.

use core::ffi::c_void;

use profiler_common::global::CGROUPS;

use crate::global::{self, offset};
use crate::task::{Task, load};

/// The cgroup of the task in the wanted hierarchy.
#[inline(always)]
fn of(task: Task) -> *const c_void {
    // SAFETY: each pointer loaded from a BTF pointer is one itself.
    unsafe {
        let set: *const c_void = load(task.cast(), offset!(task_cgroups));
        let entry: *const c_void = load(set, offset!(set_entry));
        if global::cgroup_v1() == 0 {
            return entry;
        }
        load(entry, offset!(css_cgroup))
    }
}

/// The id of a cgroup: its directory's inode.
#[inline(always)]
fn id(cgroup: *const c_void) -> u64 {
    // SAFETY: as above.
    unsafe {
        let node: *const c_void = load(cgroup, offset!(cgroup_kn));
        load(node, offset!(kn_id))
    }
}

/// The id of the task's own cgroup; 0 without offsets.
#[inline(always)]
pub fn own_id(task: Task) -> u64 {
    if global::have_offsets() == 0 { 0 } else { id(of(task)) }
}

/// Whether the task is inside one of the target's cgroups, however deep.
#[inline(always)]
pub fn selected(task: Task) -> bool {
    let cgroup = of(task);
    // SAFETY: as above.
    let level: u32 = unsafe { load(cgroup, offset!(cgroup_level)) };
    for index in 0..CGROUPS {
        if index as u32 >= global::cgroup_count() {
            return false;
        }
        let (wanted, at) = global::cgroup(index);
        if level < at {
            continue;
        }
        // SAFETY: `ancestors` has `level + 1` entries; a helper copies because the index is no
        // constant of the type.
        let ancestor: *const c_void = unsafe { load(cgroup, offset!(cgroup_ancestors) + 8 * at as usize) };
        if id(ancestor) == wanted {
            return true;
        }
    }
    false
}
