//! A cgroup that is made.
//!
//! In: its address, its path. Out: the next instance of a cgroup of the target, or an event of another one, whose name
//! user space may know.

use core::ffi::c_void;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use profiler_common::event::CGROUP;
use profiler_common::follow::{
    CgroupEvent, CgroupPath, NewCgroup, OTHERS_EACH_SECOND, PATH_BYTES, Waited, begins, change,
};
use profiler_common::global::CGROUPS;
use profiler_common::outcome::Outcome;

use crate::clock::now_ns;
use crate::follow::instance::{EXECUTED, begin, mount_namespace, send};
use crate::outcome::{busy, count};
use crate::target::{cgroup, place};
use crate::{allowance, global, task};

/// Paths of the target's cgroups, living or to come.
#[map]
static WAITED: HashMap<CgroupPath, Waited> = HashMap::with_max_entries(64, 0);
/// The new cgroup: too large for a program's stack. The kernel makes and removes one at a time.
#[map]
static NEW_CGROUP: Array<NewCgroup> = Array::with_max_entries(1, 0);

/// A cgroup was made, under a path from its hierarchy's root.
#[inline(always)]
pub fn made(at: u64, path: u64) {
    if !cgroup::is_in_hierarchy(at) {
        return;
    }
    let Some(new) = NEW_CGROUP.get_ptr_mut(0) else { return };
    // SAFETY: the kernel makes one cgroup at a time, under a lock that it holds here; nobody else writes the value.
    let new = unsafe { &mut *new };
    if fill(new, (at, path)).is_none() {
        count(Outcome::CgroupUntold, 1);
        return;
    }
    // SAFETY: the value is copied at once.
    match unsafe { WAITED.get(&new.path) }.copied() {
        Some(waited) => take(new, waited),
        None if global::tell_cgroups() != 0 => tell_other(new),
        None => {}
    }
}

/// Nothing where it cannot be read.
#[inline(always)]
fn fill(new: &mut NewCgroup, (at, path): (u64, u64)) -> Option<()> {
    let words = (&raw mut new.path.bytes).cast::<u64>();
    for word in 0..PATH_BYTES / 8 {
        // SAFETY: inside the array, which lies at a multiple of eight.
        unsafe { words.add(word).write_volatile(0) };
    }
    // SAFETY: the helper checks the address; the path ends with a NUL.
    unsafe { bpf_probe_read_kernel_str(words.cast(), PATH_BYTES as u32, path as *const c_void) };
    let (id, level) = (cgroup::id_at(at)?, cgroup::level_at(at)?);
    new.event = CgroupEvent { tag: CGROUP, change: 0, time_ns: now_ns(), id, ended_ns: 0, place: 0, level };
    Some(())
}

/// The target's own path: its next instance.
#[inline(always)]
fn take(new: &mut NewCgroup, waited: Waited) {
    let (id, level) = (new.event.id, new.event.level);
    // SAFETY: inside the array; one cgroup is made at a time.
    let place = unsafe { &mut *place::followed(waited.place as usize & (CGROUPS - 1)) };
    new.event.place = waited.place;
    if waited.begins == begins::AT_ONCE {
        begin(place, id, level);
        new.event.change = change::BEGAN;
    } else {
        let apart = waited.begins == begins::AT_EXEC_APART;
        place.outside = if apart { mount_namespace(task::current()) } else { 0 };
        place.awaited_level = level;
        // SAFETY: a field; read on other CPUs, which must see it whole.
        unsafe { (&raw mut place.awaited).write_volatile(id) };
        new.event.change = change::MADE;
    }
    send((&raw mut *new).cast(), size_of::<NewCgroup>());
}

/// Some other cgroup: user space knows whether it bears the target's name.
#[inline(always)]
fn tell_other(new: &mut NewCgroup) {
    new.event.change = change::OTHER;
    let outside = mount_namespace(task::current());
    let _ = busy(|| EXECUTED.insert(&new.event.id, &outside, u64::from(BPF_ANY)));
    if allowance::allows(allowance::CGROUPS, new.event.time_ns, OTHERS_EACH_SECOND) {
        send((&raw mut *new).cast(), size_of::<NewCgroup>());
    } else {
        count(Outcome::CgroupUntold, 1);
    }
}
