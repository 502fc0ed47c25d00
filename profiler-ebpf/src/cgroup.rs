//! A task's cgroup, by walking from the task: one way for v2 and for v1 controllers.
//!
//! In: a task. Out: the id (inode) of its cgroup, or of its ancestor at a level.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
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
        // Most tasks are decided by plain loads: too high up, or right at the level.
        if level == at && id(cgroup) == wanted || level > at && ancestor_id(cgroup, at) == wanted {
            return true;
        }
    }
    false
}

/// The id of the ancestor at a level above the cgroup's own. `ancestors` (before 6.1: `ancestor_ids`) is a flexible array, which
/// the verifier does not let plain loads into: copied by helper, and so is what it points to.
#[inline(always)]
fn ancestor_id(cgroup: *const c_void, at: u32) -> u64 {
    let place = offset!(cgroup_ancestors) as u64 + 8 * u64::from(at);
    let ancestor = copy(cgroup as u64 + place);
    if offset!(ancestor_ids) != 0 {
        return ancestor;
    }
    let node = copy(ancestor + offset!(cgroup_kn) as u64);
    copy(node + offset!(kn_id) as u64)
}

/// Copies one word; 0 when the address is not readable.
#[inline(always)]
fn copy(address: u64) -> u64 {
    let mut word = 0u64;
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel((&raw mut word).cast(), 8, address as *const c_void) };
    word
}
