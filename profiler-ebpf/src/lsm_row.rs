//! Rows of the `lsm` probe.
//!
//! In: a function that returned. Out: its row at hand on this CPU and, when the row's time since its last
//! stack has grown enough, a stack that stands for it. Programs of different sites may interrupt or
//! preempt each other on a CPU, so each claims a level; what finds both taken is lost, and counted.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use profiler_common::lsm::{
    CachedRow, CachedRows, LEVELS, LsmKey, LsmStackKey, NO_NR, STACK_EVERY_NS, place, tag,
};
use profiler_common::outcome::Outcome;
use profiler_common::stack::{NO_STACK, finish, mix, seed};
use profiler_common::syscall::LatencyRow;
use profiler_common::writer;

use crate::maps::{LSM_CACHE, LSM_ROWS, LSM_STACKS, SEEN};
use crate::outcome::{busy, count};
use crate::row::octave_of;
use crate::stack::{self, Buffer};
use crate::{global, process};

/// A function that returned.
pub struct Ended {
    pub tgid: u32,
    pub nr: u16,
    pub site: u16,
    pub ns: u64,
}

/// Adds a function's time to its row; whether a stack was taken for it.
#[inline(always)]
pub fn add(ctx: *mut c_void, ended: &Ended) -> bool {
    let Some(cache) = claim() else {
        count(Outcome::LsmLevelsTaken, 1);
        return false;
    };
    let with_stack = add_to(ctx, cache, ended);
    // SAFETY: a plain word of this CPU, volatile because of what runs on top.
    unsafe { core::ptr::write_volatile(&mut cache.taken, 0) };
    with_stack
}

/// The rows at hand of the first level that nobody is at work on.
#[inline(always)]
fn claim() -> Option<&'static mut CachedRows> {
    for level in 0..LEVELS as u32 {
        // SAFETY: this CPU's own value; whoever runs on top of us releases what it claimed before it ends,
        // and leaves what we claimed alone.
        let cache = unsafe { &mut *LSM_CACHE.get_ptr_mut((global::epoch() & 1) + 2 * level)? };
        // SAFETY: as in `add`.
        unsafe {
            if core::ptr::read_volatile(&cache.taken) == 0 {
                core::ptr::write_volatile(&mut cache.taken, 1);
                cache.level = level;
                return Some(cache);
            }
        }
    }
    None
}

#[inline(always)]
fn add_to(ctx: *mut c_void, cache: &mut CachedRows, ended: &Ended) -> bool {
    // SAFETY: a word of these rows. Through memory the verifier forgets which branches led to the value,
    // and walks what follows once instead of once for every octave.
    let octave = unsafe {
        core::ptr::write_volatile(&mut cache.octave, octave_of(ended.ns));
        core::ptr::read_volatile(&cache.octave)
    } as u8;
    let tag = tag(ended.tgid, ended.nr, ended.site, octave);
    let level = cache.level;
    let cached = &mut cache.rows[place(tag)];
    let mut stand_for = 0;
    if cached.tag != tag {
        stand_for = displace(cached, tag, ended.ns);
    }
    cached.row.add_call(octave, ended.ns);
    cached.unseen_ns += ended.ns;
    if cached.unseen_ns >= STACK_EVERY_NS {
        stand_for = cached.unseen_ns;
        cached.unseen_ns = 0;
    } else if stand_for != 0 {
        cached.unseen_ns -= stand_for;
    }
    if stand_for != 0 {
        add_stack(ctx, level, ended, stand_for);
    }
    stand_for != 0
}

#[inline(always)]
fn this_writer() -> u32 {
    // SAFETY: the helper has no preconditions.
    writer(unsafe { bpf_get_smp_processor_id() }, global::epoch())
}

/// Makes room at hand for the row of `tag`: the one there goes to the hash map. Returns the time a first
/// stack stands for: `ns`, where this (process, site) has none yet.
#[inline(never)]
fn displace(cached: &mut CachedRow, tag: u64, ns: u64) -> u64 {
    if cached.tag != 0 {
        write_back(cached);
    }
    *cached = CachedRow { tag, unseen_ns: 0, row: LatencyRow::NONE };
    let key = LsmKey::of(tag, 0);
    if key.tgid != 0 {
        process::announce(crate::task::current(), key.tgid);
    }
    let known = finish(mix(seed(key.tgid, u32::from(key.site)), u64::from(key.nr)));
    // SAFETY: the value is not read.
    if unsafe { SEEN.get(&known) }.is_some() {
        return 0;
    }
    let _ = busy(|| SEEN.insert(&known, &1, 0));
    ns
}

#[inline(always)]
fn write_back(cached: &CachedRow) {
    let key = LsmKey::of(cached.tag, this_writer());
    if let Some(row) = LSM_ROWS.get_ptr_mut(&key) {
        // SAFETY: this CPU is the row's only writer, but for one on the other level: see `add`.
        unsafe { (*row).add(&cached.row) };
    } else if busy(|| LSM_ROWS.insert(&key, &cached.row, 0)).is_err() {
        count(Outcome::LsmRowFull, cached.row.calls());
    }
}

/// Takes the stacks of the function that returned, which stand for `ns`.
#[inline(never)]
fn add_stack(ctx: *mut c_void, level: u32, ended: &Ended, ns: u64) -> u32 {
    let buffer = if level == 0 { Buffer::Lsm } else { Buffer::LsmOnTop };
    let kernel = stack::kernel(ctx, buffer);
    // Whatever runs in a task runs for a call: the leaf of its user stack is a return address.
    let of_task = ended.tgid != 0;
    let user = if of_task { stack::user(ctx, buffer, ended.tgid, true) } else { NO_STACK };
    let nr = if of_task { ended.nr } else { NO_NR };
    let writer = this_writer();
    let key = LsmStackKey { tgid: ended.tgid, site: ended.site, nr, kernel, user, writer, pad: 0 };
    if let Some(row) = LSM_STACKS.get_ptr_mut(&key) {
        // SAFETY: as in `write_back`.
        unsafe { *row += ns };
    } else if busy(|| LSM_STACKS.insert(&key, &ns, 0)).is_err() {
        count(Outcome::LsmStackRowFull, 1);
    }
    0
}
