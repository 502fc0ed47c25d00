//! Rows of the `lsm` probe.
//!
//! In: a function that returned. Out: its row at hand on this CPU and, when the row's time since its last
//! stack has grown enough, a stack that stands for it. A site has rows of its own, and the kernel runs a program
//! once at a time on a CPU: so a row has one writer. Linux 5.10 has no such guard; what would write on top is lost, and counted.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use profiler_common::histogram::{SLOTS, bucket, bucket_at, bucket_table};
use profiler_common::lsm::{
    CachedRow, LsmKey, LsmStackKey, NO_NR, STACK_EVERY_NS, SiteRows, place, tag, whose,
};
use profiler_common::outcome::Outcome;
use profiler_common::stack::{NO_STACK, finish, mix, seed};
use profiler_common::syscall::LatencyRow;
use profiler_common::writer;

use crate::lsm_site::opaque;
use crate::maps::{LSM_CACHE, LSM_ROWS, LSM_STACKS, SEEN};
use crate::outcome::{busy, count};
use crate::stack;
use crate::{global, lsm, lsm_open, lsm_site, lsm_stack, process};

#[unsafe(no_mangle)]
static BUCKETS: [u8; 256] = bucket_table();

/// Where `ns` goes: octave and slot. Most times are short, and found in the table.
#[inline(always)]
fn bucket_of(ns: u64) -> u32 {
    let (index, octaves) = match ns {
        0..0x100 => (ns, 0),
        0x100..0x2000 => (ns >> 5, 5),
        0x2000..0x4_0000 => (ns >> 10, 10),
        _ => return long_bucket(ns),
    };
    // SAFETY: the index is below 256.
    let short = unsafe { (&raw const BUCKETS).cast::<u8>().add(index as usize & 0xff).read_volatile() };
    u32::from(short) + octaves * SLOTS as u32
}

/// A global function: the verifier goes on with any number, not with one state for each.
#[unsafe(no_mangle)]
#[inline(never)]
fn long_bucket(ns: u64) -> u32 {
    bucket(ns)
}

/// Adds a function's time to its row, and a stack if one is due.
#[inline(always)]
pub fn add(ctx: *mut c_void, tgid: u32, ns: u64) {
    let Some(rows) = LSM_CACHE.get_ptr_mut(lsm_site::rows() + (global::epoch() & 1)) else { return };
    // SAFETY: this CPU's own value.
    let rows = unsafe { &mut *rows };
    let mut whose = whose(tgid, NO_NR);
    if lsm_site::is_special() {
        lsm_site::cold();
        if lsm_site::is_unguarded() && !claim(rows) {
            return;
        }
        whose = special(ctx, rows, tgid);
    }
    let bucket = bucket_of(ns);
    let tag = tag(opaque(whose), bucket);
    let cached = &mut rows.rows[place(tag)];
    if cached.tag != tag {
        displace(cached, tag);
    }
    cached.row.add_to(bucket_at(bucket).1, ns);
    if cached.row.total_ns >= cached.stack_at_ns {
        add_stack(ctx, cached);
    }
    if lsm_site::is_unguarded() {
        // SAFETY: a field of ours, volatile because of what runs on top.
        unsafe { (&raw mut rows.taken).write_volatile(0) };
    }
}

/// Takes the rows where the kernel does not see to that; whether they were free.
#[inline(always)]
fn claim(rows: &mut SiteRows) -> bool {
    // SAFETY: a field of ours, volatile because of what runs on top.
    unsafe {
        let taken = &raw mut rows.taken;
        if taken.read_volatile() != 0 {
            count(Outcome::LsmLevelsTaken, 1);
            return false;
        }
        taken.write_volatile(1);
    }
    true
}

/// Whose row it is where the call is wanted, or it may be an interrupt's.
#[inline(always)]
fn special(ctx: *mut c_void, rows: &mut SiteRows, tgid: u32) -> u64 {
    if lsm_site::in_interrupts() && lsm_stack::of_interrupt(ctx, rows) {
        return whose(0, NO_NR);
    }
    whose(tgid, if lsm_site::in_calls() { lsm::nr() } else { NO_NR })
}

#[inline(always)]
fn this_writer() -> u32 {
    // SAFETY: the helper has no preconditions.
    writer(unsafe { bpf_get_smp_processor_id() }, global::epoch())
}

/// Makes room at hand for the row of `tag`: the one there goes to the hash map. Where this (process, site) has
/// no stack yet, one is due at once.
#[cold]
#[inline(never)]
fn displace(cached: &mut CachedRow, tag: u64) -> u32 {
    if cached.tag != 0 {
        write_back(cached);
    }
    *cached = CachedRow { tag, stack_at_ns: STACK_EVERY_NS, row: LatencyRow::NONE };
    let key = LsmKey::of(tag, lsm_site::number(), 0);
    if key.tgid != 0 {
        process::announce(key.tgid);
    }
    let known = finish(mix(seed(key.tgid, u32::from(key.site)), u64::from(key.nr)));
    // SAFETY: the value is not read.
    if unsafe { SEEN.get(&known) }.is_none() {
        let _ = busy(|| SEEN.insert(&known, &1, 0));
        cached.stack_at_ns = 0;
    }
    0
}

#[inline(always)]
fn write_back(cached: &CachedRow) {
    let key = LsmKey::of(cached.tag, lsm_site::number(), this_writer());
    if let Some(row) = LSM_ROWS.get_ptr_mut(&key) {
        // SAFETY: this CPU and site are the row's only writer.
        unsafe { (*row).add(&cached.row) };
    } else if busy(|| LSM_ROWS.insert(&key, &cached.row, 0)).is_err() {
        count(Outcome::LsmRowFull, cached.row.calls());
    }
}

/// Takes the stacks of the function that returned, which stand for the row's time since the last one.
#[cold]
#[inline(never)]
fn add_stack(ctx: *mut c_void, cached: &mut CachedRow) -> u32 {
    // Both are taken: the next function will do.
    let Some(level) = lsm_stack::Level::claim() else { return 0 };
    // SAFETY: the helper has no preconditions.
    let begin = unsafe { bpf_ktime_get_ns() };
    let total = cached.row.total_ns;
    let ns = total.wrapping_sub(cached.stack_at_ns.saturating_sub(STACK_EVERY_NS));
    cached.stack_at_ns = total + STACK_EVERY_NS;
    let LsmKey { tgid, nr, site, .. } = LsmKey::of(cached.tag, lsm_site::number(), 0);
    let buffer = level.buffer();
    let kernel = stack::kernel(ctx, buffer);
    // Whatever runs in a task runs for a call: the leaf of its user stack is a return address.
    let user = if tgid != 0 { stack::user(ctx, buffer, tgid, true) } else { NO_STACK };
    level.release();
    let key = LsmStackKey { tgid, site, nr, kernel, user, writer: this_writer(), pad: 0 };
    if let Some(row) = LSM_STACKS.get_ptr_mut(&key) {
        // SAFETY: as in `write_back`.
        unsafe { *row += ns };
    } else if busy(|| LSM_STACKS.insert(&key, &ns, 0)).is_err() {
        count(Outcome::LsmStackRowFull, 1);
    }
    // SAFETY: the helper has no preconditions.
    lsm_open::excuse(unsafe { bpf_ktime_get_ns() }.wrapping_sub(begin));
    0
}
