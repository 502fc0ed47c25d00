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
        // Most tasks live at the target's own depth: plain loads decide.
        let inside =
            if level == at { id(cgroup) == wanted } else { level > at && ancestor_is(cgroup, at, wanted) };
        if inside {
            return true;
        }
    }
    false
}

/// Whether the ancestor at a level, which must not be below the cgroup's own, has that id. Helpers
/// copy: the verifier lets nobody load from an array of pointers that ends a struct.
#[inline(never)]
fn ancestor_is(cgroup: *const c_void, at: u32, wanted: u64) -> bool {
    // SAFETY: helpers check the addresses; `ancestors` has `level + 1` entries.
    unsafe {
        let ancestor = copy(cgroup.byte_add(offset!(cgroup_ancestors) + 8 * at as usize));
        let node = copy((ancestor as *const c_void).byte_add(offset!(cgroup_kn)));
        copy((node as *const c_void).byte_add(offset!(kn_id))) == wanted
    }
}

/// Copies a word; 0 where there is none.
///
/// # Safety
/// None for the kernel: the helper checks the address.
#[inline(always)]
unsafe fn copy(from: *const c_void) -> u64 {
    let mut word = 0u64;
    // SAFETY: the word is on the stack, and zeroed by the helper on failure.
    unsafe { bpf_probe_read_kernel((&raw mut word).cast(), 8, from) };
    word
}
