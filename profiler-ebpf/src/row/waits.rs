//! Rows of waits off the CPU, for the `offcpu` and `runq` probes.
//!
//! In: a wait, packed with the call it is in. Out: its row.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray};
use profiler_common::outcome::Outcome;
use profiler_common::syscall::{CachedRows, LatencyKey, LatencyRow};
use profiler_common::wait::{NO_CALL, pack};
use profiler_state::thread::Thread;

use crate::global;
use crate::row::at_hand::{self, Table};
use crate::target::filter;

/// Waits off the CPU, of the `offcpu` and `runq` probes.
#[map]
static WAITS: HashMap<LatencyKey, LatencyRow> = HashMap::with_max_entries(32_768, 0);
/// Rows of them at hand, by the epoch's parity.
#[map]
static WAIT_CACHE: PerCpuArray<CachedRows> = PerCpuArray::with_max_entries(2, 0);

/// Waits off the CPU. Their keys have, instead of a call's number, what `profiler_common::wait::pack` makes of wait and call.
pub struct Waits;

impl Table for Waits {
    const FULL: Outcome = Outcome::WaitRowFull;

    #[inline(always)]
    fn cache() -> &'static PerCpuArray<CachedRows> {
        &WAIT_CACHE
    }

    #[inline(always)]
    fn rows() -> &'static HashMap<LatencyKey, LatencyRow> {
        &WAITS
    }

    /// Another process runs. This one was announced when its thread was first seen, or user space asks for its name.
    #[inline(always)]
    fn announce(_tgid: u32) {}
}

/// The call a thread is in, packed with what it waits for.
#[inline(always)]
pub fn packed(thread: &Thread, wait: u32) -> u16 {
    pack(wait, if thread.in_call() { thread.nr.get() } else { u32::from(NO_CALL) })
}

/// Whether waits of this process that end on this CPU count.
#[inline(always)]
pub fn counts(tgid: u32) -> bool {
    tgid != global::self_tgid() && filter::admits_this_cpu()
}

/// Adds a wait to its row. A global function: the verifier walks it once, not once for every caller.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn add_wait(tgid: u32, packed: u32, ns: u64) -> u32 {
    at_hand::add::<Waits>(tgid, packed as u16, ns);
    0
}
