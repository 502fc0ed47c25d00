//! Waits for spinning locks, which stay on their CPU.
//!
//! In: nothing. Out: the open ones of this CPU.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use profiler_state::lock_waits::Waits;

/// Spinning waits of this CPU.
#[map]
static SPINS: PerCpuArray<Waits> = PerCpuArray::with_max_entries(1, 0);

/// Those of this CPU.
#[inline(always)]
pub fn get() -> Option<&'static Waits> {
    // SAFETY: this CPU's own value, for good. All its words are fields that may be shared: with programs on top.
    SPINS.get_ptr(0).map(|spins| unsafe { &*spins })
}

/// Whether this thread, which runs here, spins on a lock.
#[inline(always)]
pub fn any_of(tid: u32) -> bool {
    get().is_some_and(|spins| spins.spins(tid))
}
