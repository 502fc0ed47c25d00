//! Rows of the `lsm` probe.
//!
//! In: a function that returned. Out: its row at hand on this CPU and, when the row's time since its last
//! stack has grown enough, a stack that stands for that time. A row has one writer: each site has rows of its own, and the
//! kernel never runs a program on top of itself on a CPU. Linux 5.10 does; there the program on top writes nothing, and the
//! function is counted as lost.

use core::ffi::c_void;

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray};
use profiler_common::histogram::{SLOTS, bucket, bucket_at, bucket_table};
use profiler_common::lsm::{
    CachedRow, LsmKey, LsmStackKey, NO_NR, SITES, STACK_EVERY_NS, SiteRows, place, tag, whose,
};
use profiler_common::outcome::Outcome;
use profiler_common::stack::{NO_STACK, finish, mix, seed};
use profiler_common::syscall::LatencyRow;

use crate::clock::now_ns;
use crate::lsm::site::opaque;
use crate::lsm::{call, level, open, site};
use crate::outcome::{busy, count};
use crate::process::announce;
use crate::row::sum;
use crate::row::writer::this_writer;
use crate::stack::SEEN;
use crate::{global, stack};

/// Time in functions of the security layer.
#[map]
static LSM_ROWS: HashMap<LsmKey, LatencyRow> = HashMap::with_max_entries(16_384, 0);
/// Rows of it at hand: by site, then by the epoch's parity.
#[map]
static LSM_CACHE: PerCpuArray<SiteRows> = PerCpuArray::with_max_entries(2 * SITES as u32, 0);
/// Their stacks: ns that each stands for.
#[map]
static LSM_STACKS: HashMap<LsmStackKey, u64> = HashMap::with_max_entries(16_384, 0);

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
    let Some(rows) = LSM_CACHE.get_ptr_mut(site::rows() + (global::epoch() & 1)) else { return };
    if site::is_special() {
        site::cold();
        // SAFETY: a field of this CPU's own value.
        if site::is_unguarded() && !claim(unsafe { &raw mut (*rows).taken }) {
            return;
        }
    }
    // SAFETY: this CPU's own value, of the epoch that user space does not read. The kernel, or what was just claimed, keeps
    // this site's program from running on top of itself.
    let rows = unsafe { &mut *rows };
    let whose = if site::is_special() { special(ctx, rows, tgid) } else { whose(tgid, NO_NR) };
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
    if site::is_unguarded() {
        // SAFETY: a field of ours, volatile because of what runs on top.
        unsafe { (&raw mut rows.taken).write_volatile(0) };
    }
}

/// Claims the rows where the kernel lets a program run on top of itself; false if they were in use.
#[inline(always)]
fn claim(taken: *mut u64) -> bool {
    // SAFETY: a field of a map's value, by the caller; volatile because of what runs on top.
    unsafe {
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
    if site::in_interrupts() && level::of_interrupt(ctx, rows) {
        return whose(0, NO_NR);
    }
    whose(tgid, if site::in_calls() { call::nr() } else { NO_NR })
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
    let key = LsmKey::of(tag, site::number(), 0);
    if key.tgid != 0 {
        announce::process(key.tgid);
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
    let key = LsmKey::of(cached.tag, site::number(), this_writer());
    let lost = (Outcome::LsmRowFull, cached.row.calls());
    sum::add(&LSM_ROWS, &key, &cached.row, lost, |row| row.add(&cached.row));
}

/// Takes the stacks of the function that returned, which stand for the row's time since the last one.
#[cold]
#[inline(never)]
fn add_stack(ctx: *mut c_void, cached: &mut CachedRow) -> u32 {
    // Both are taken: the next function will do.
    let Some(level) = level::Level::claim() else { return 0 };
    let begin = now_ns();
    let total = cached.row.total_ns;
    let ns = total.wrapping_sub(cached.stack_at_ns.saturating_sub(STACK_EVERY_NS));
    cached.stack_at_ns = total + STACK_EVERY_NS;
    let LsmKey { tgid, nr, site, .. } = LsmKey::of(cached.tag, site::number(), 0);
    let buffer = level.buffer();
    let kernel = stack::kernel(ctx, buffer);
    // Whatever runs in a task runs for a call: the leaf of its user stack is a return address.
    let user = if tgid != 0 { stack::user(ctx, buffer, tgid, true) } else { NO_STACK };
    level.release();
    let key = LsmStackKey { tgid, site, nr, kernel, user, writer: this_writer(), pad: 0 };
    sum::add(&LSM_STACKS, &key, &ns, (Outcome::LsmStackRowFull, 1), |row| *row += ns);
    open::excuse(now_ns().wrapping_sub(begin));
    0
}
