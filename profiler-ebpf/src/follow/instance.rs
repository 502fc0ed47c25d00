//! One instance of a cgroup of the target: how it begins, and how user space is told of it.
//!
//! In: a place of `FOLLOWED`. Out: its new id, cgroup events.

use core::ffi::c_void;

use aya_ebpf::bindings::BPF_RB_FORCE_WAKEUP;
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use profiler_common::event::CGROUP;
use profiler_common::follow::{CgroupEvent, Followed, NO_ID};
use profiler_common::outcome::Outcome;

use crate::clock::now_ns;
use crate::event::EVENTS;
use crate::global::offset;
use crate::outcome::{busy, count};
use crate::task::Task;
use crate::task::read::load;

/// New cgroups that no path was waited for, and in which a program was executed since.
#[map]
pub static EXECUTED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1_024, 0);

/// From now on this instance counts.
#[inline(always)]
pub fn begin(place: &mut Followed, id: u64, level: u32) {
    place.ended_ns = 0;
    place.level = level;
    // SAFETY: fields; read on other CPUs, which must see them whole.
    unsafe {
        (&raw mut place.id).write_volatile(id);
        (&raw mut place.awaited).write_volatile(NO_ID);
    }
}

/// Where its mount namespace lies; 0: not known.
#[inline(always)]
pub fn mount_namespace(task: Task) -> u64 {
    if offset!(task_nsproxy) == 0 {
        return 0;
    }
    // SAFETY: `task` is a BTF pointer, and so is what its field holds.
    unsafe {
        let proxy: *const c_void = load(task.cast(), offset!(task_nsproxy));
        load(proxy, offset!(nsproxy_mnt))
    }
}

/// Tells user space of a place of the target.
#[inline(always)]
pub fn tell(place: u32, change: u32, followed: &Followed) {
    let Followed { id, level, ended_ns, .. } = *followed;
    let mut event = CgroupEvent { tag: CGROUP, change, time_ns: now_ns(), id, ended_ns, place, level };
    send((&raw mut event).cast(), size_of::<CgroupEvent>());
}

/// Sends an event of that many bytes.
#[inline(always)]
pub fn send(event: *mut c_void, bytes: usize) {
    let events = (&raw const EVENTS).cast_mut().cast();
    // SAFETY: the event has that many bytes.
    let sent =
        busy(|| unsafe { bpf_ringbuf_output(events, event, bytes as u64, u64::from(BPF_RB_FORCE_WAKEUP)) });
    if sent != 0 {
        count(Outcome::CgroupUntold, 1);
    }
}
