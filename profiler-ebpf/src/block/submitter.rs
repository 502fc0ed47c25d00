//! Who submits a request. Whatever thread runs when the request completes has nothing to do with it.
//!
//! In: the address of a request that is submitted, or of its bio, while the submitter runs. Out: the
//! submitter, when the request completes. No lock: a table of sets of four entries, whose two words belong
//! together only if the seal matches. The submitter of an overwritten entry is unknown, never a wrong one.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use profiler_common::outcome::Outcome;

use crate::block::field;
use crate::clock::now_ns;
use crate::outcome::count;
use crate::process::announce;
use crate::target::filter;
use crate::task;

/// Entries of a set: a cache line.
const WAYS: usize = 4;
/// Sets, as bits of their number.
const SET_BITS: u32 = 12;
/// Bios that are looked at: others may have been put in front of the one that was submitted.
const BIOS: usize = 4;
/// In [`Entry::who`]: the submitter is one of the target's.
const OF_TARGET: u64 = 1 << 63;

/// A request that is under way.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    /// The request's address and `who`, combined.
    seal: u64,
    /// Process and thread; 0: free.
    who: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Set([Entry; WAYS]);

/// Requests that are under way, by address.
#[map]
static SUBMITTERS: Array<Set> = Array::with_max_entries(1 << SET_BITS, 0);
/// The process that this CPU announced last.
#[map]
static ANNOUNCED: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);
/// When the first request was seen submitted, ns: older ones were submitted before attach.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.block")]
static mut FOLLOWED_SINCE_NS: u64 = 0;

/// Who submitted a request; 0: nobody saw who.
pub struct Submitter(u64);

impl Submitter {
    /// Whether somebody saw who.
    #[inline(always)]
    pub const fn is_seen(&self) -> bool {
        self.0 != 0
    }

    /// Process.
    #[inline(always)]
    pub const fn tgid(&self) -> u32 {
        ((self.0 & !OF_TARGET) >> 32) as u32
    }

    /// Thread.
    #[inline(always)]
    pub const fn tid(&self) -> u32 {
        self.0 as u32
    }

    /// Whether the target filter admits it.
    #[inline(always)]
    pub const fn is_of_target(&self) -> bool {
        self.0 & OF_TARGET != 0
    }
}

/// The running task submits a request, which is known by its address or by its bio's.
#[inline(always)]
pub fn note(request: *const c_void) {
    let address = number(request);
    let ids = bpf_get_current_pid_tgid();
    let of_target = filter::admits_current(task::current());
    let who = if of_target { ids | OF_TARGET } else { ids };
    follow_from_now();
    announce_once((ids >> 32) as u32);
    let Some(set) = set(address) else { return };
    let mut place = (address >> 62) as usize & (WAYS - 1);
    for way in 0..WAYS {
        // SAFETY: inside the set.
        let entry = unsafe { (*set).0[way] };
        if entry.who == 0 || entry.seal ^ entry.who == address {
            place = way;
        }
    }
    // SAFETY: as above. Another CPU may write the same entry: the seal tells.
    unsafe {
        let entry = &raw mut (*set).0[place & (WAYS - 1)];
        (&raw mut (*entry).who).write_volatile(who);
        (&raw mut (*entry).seal).write_volatile(address ^ who);
    }
}

/// Who submitted a request: known by itself or by its bio. `ends`: it is forgotten.
#[inline(always)]
pub fn of(request: *const c_void, bio: *const c_void, ends: bool) -> Submitter {
    let by_request = take(number(request), ends);
    if by_request.is_seen() {
        return by_request;
    }
    let mut bio = bio;
    for _ in 0..BIOS {
        if bio.is_null() {
            break;
        }
        let by_bio = take(number(bio), ends);
        if by_bio.is_seen() {
            return by_bio;
        }
        bio = field::next(bio);
    }
    Submitter(0)
}

/// Counts a request whose submitter nobody saw.
#[inline(always)]
pub fn miss(start_ns: u64) {
    // SAFETY: a word that is written once.
    let since = unsafe { (&raw const FOLLOWED_SINCE_NS).read_volatile() };
    let before = since == 0 || start_ns != 0 && start_ns < since;
    count(if before { Outcome::BlockBeforeAttach } else { Outcome::BlockSubmitterUnseen }, 1);
}

/// A global function: the verifier walks its loop once.
#[unsafe(no_mangle)]
#[inline(never)]
fn block_submitter(address: u64, ends: u32) -> u64 {
    let Some(set) = set(address) else { return 0 };
    let mut found = 0;
    for way in 0..WAYS {
        // SAFETY: inside the set.
        let entry = unsafe { &mut (*set).0[way] };
        if entry.who != 0 && entry.seal ^ entry.who == address {
            found = entry.who;
            if ends != 0 {
                entry.who = 0;
            }
        }
    }
    found
}

#[inline(always)]
fn take(address: u64, ends: bool) -> Submitter {
    Submitter(block_submitter(address, u32::from(ends)))
}

/// A pointer as a number that the verifier takes for one: its bytes in the other order. It allows that on a pointer, and what
/// comes of it is no pointer any more.
#[inline(always)]
fn number(pointer: *const c_void) -> u64 {
    (pointer.addr() as u64).swap_bytes()
}

/// The set that an address belongs to.
#[inline(always)]
fn set(address: u64) -> Option<*mut Set> {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    SUBMITTERS.get_ptr_mut((address.wrapping_mul(GOLDEN) >> (64 - SET_BITS)) as u32)
}

#[inline(always)]
fn follow_from_now() {
    // SAFETY: a word; whoever is first writes it whole.
    unsafe {
        if (&raw const FOLLOWED_SINCE_NS).read_volatile() == 0 {
            (&raw mut FOLLOWED_SINCE_NS).write_volatile(now_ns());
        }
    }
}

/// Tells user space of the submitter, which runs now and not when its row is made.
#[inline(always)]
fn announce_once(tgid: u32) {
    let Some(last) = ANNOUNCED.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own value.
    unsafe {
        if *last != tgid {
            *last = tgid;
            announce::process(tgid);
        }
    }
}
