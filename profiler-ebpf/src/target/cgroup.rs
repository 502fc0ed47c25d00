//! A task's cgroup, found from the task: the same way for v2 and for v1 controllers.
//!
//! In: a task. Out: the id (inode) of its cgroup, or of its ancestor at a level.

use core::ffi::c_void;

use profiler_common::global::CGROUPS;

use crate::global::{self, offset};
use crate::target::place;
use crate::task::Task;
use crate::task::read::{load, read};

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
        if is_in(cgroup, level, place::counted(index)) {
            return true;
        }
    }
    false
}

/// Whether the task is inside this cgroup, given by id and level.
#[inline(always)]
pub fn holds(place: (u64, u32), task: Task) -> bool {
    let cgroup = of(task);
    // SAFETY: as above.
    let level: u32 = unsafe { load(cgroup, offset!(cgroup_level)) };
    is_in(cgroup, level, place)
}

/// Most tasks are decided by plain loads: too high up, or right at the level.
#[inline(always)]
fn is_in(cgroup: *const c_void, level: u32, (wanted, at): (u64, u32)) -> bool {
    level == at && id(cgroup) == wanted || level > at && ancestor_id(cgroup as u64, at) == Some(wanted)
}

/// The id of the ancestor at a level above the cgroup's own. `ancestors` (before 6.1: `ancestor_ids`) is a flexible array, which
/// the verifier does not let plain loads into: copied by helper, and so is what it points to.
#[inline(always)]
fn ancestor_id(cgroup: u64, at: u32) -> Option<u64> {
    let place = offset!(cgroup_ancestors) as u64 + 8 * u64::from(at);
    let ancestor: u64 = read(cgroup + place)?;
    if offset!(ancestor_ids) != 0 {
        return Some(ancestor);
    }
    id_at(ancestor)
}

/// [`selected`] of a task that the verifier knows only by its address: 1 is yes. A global function: it is walked once.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn selected_at(task: u64) -> u32 {
    let Some((cgroup, level)) = at(task) else { return 0 };
    for index in 0..CGROUPS {
        if index as u32 >= global::cgroup_count() {
            return 0;
        }
        let (wanted, at) = place::counted(index);
        if level == at && id_at(cgroup) == Some(wanted)
            || level > at && ancestor_id(cgroup, at) == Some(wanted)
        {
            return 1;
        }
    }
    0
}

/// Address and level of the cgroup of the task at an address.
#[inline(always)]
fn at(task: u64) -> Option<(u64, u32)> {
    let set: u64 = read(task + offset!(task_cgroups) as u64)?;
    let entry: u64 = read(set + offset!(set_entry) as u64)?;
    let cgroup = if global::cgroup_v1() == 0 { entry } else { read(entry + offset!(css_cgroup) as u64)? };
    Some((cgroup, level_at(cgroup)?))
}

/// The id of the cgroup at an address.
#[inline(always)]
pub fn id_at(cgroup: u64) -> Option<u64> {
    let node: u64 = read(cgroup + offset!(cgroup_kn) as u64)?;
    read(node + offset!(kn_id) as u64)
}

/// Its level.
#[inline(always)]
pub fn level_at(cgroup: u64) -> Option<u32> {
    read(cgroup + offset!(cgroup_level) as u64)
}

/// Whether the cgroup at an address is in the hierarchy of the target's cgroups.
#[inline(always)]
pub fn is_in_hierarchy(cgroup: u64) -> bool {
    let hierarchy = || {
        let root: u64 = read(cgroup + offset!(cgroup_root) as u64)?;
        read::<u32>(root + offset!(root_hierarchy) as u64)
    };
    hierarchy() == Some(global::cgroup_hierarchy())
}
