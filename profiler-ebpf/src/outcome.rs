//! Counting outcomes.
//!
//! In: an outcome. Out: this CPU's counter, which only this CPU writes.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use profiler_common::outcome::OUTCOMES;
use profiler_common::outcome::Outcome;

/// Counters of [`profiler_common::outcome::Outcome`].
#[map]
static OUTCOME_COUNTS: PerCpuArray<[u64; OUTCOMES]> = PerCpuArray::with_max_entries(1, 0);
/// Not 0 while one of our programs on this CPU may hold a lock of ours.
#[map]
static BUSY: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

/// Adds to a counter of this CPU.
#[inline(always)]
pub fn count(outcome: Outcome, amount: u64) {
    if let Some(counts) = OUTCOME_COUNTS.get_ptr_mut(0) {
        // SAFETY: the map value holds OUTCOMES counters and `outcome` is below that.
        unsafe { (*counts)[outcome as usize] += amount };
    }
}

/// Runs `work`, which may take a lock of our own maps, and lets the `lock` probe know that meanwhile.
#[inline(always)]
pub fn busy<T>(work: impl FnOnce() -> T) -> T {
    let flag = BUSY.get_ptr_mut(0);
    if let Some(flag) = flag {
        // SAFETY: this CPU's own value.
        unsafe { *flag += 1 };
    }
    let result = work();
    if let Some(flag) = flag {
        // SAFETY: as above.
        unsafe { *flag -= 1 };
    }
    result
}

/// Whether a program of ours on this CPU is inside [`busy`].
#[inline(always)]
pub fn is_busy() -> bool {
    // SAFETY: this CPU's own value.
    BUSY.get_ptr(0).is_some_and(|flag| unsafe { *flag } != 0)
}
