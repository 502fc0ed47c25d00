//! How many rare events a CPU may send in a second, so that a storm of them does not fill the ring buffer.
//!
//! In: a kind of events. Out: yes or no. No lock: a CPU's own count.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use profiler_common::death::Allowance;

/// What each CPU may still send in this period.
#[map]
static ALLOWANCES: PerCpuArray<[Allowance; 4]> = PerCpuArray::with_max_entries(1, 0);

/// New cgroups that no path was waited for.
pub const CGROUPS: usize = 0;
/// Deaths.
pub const DEATHS: usize = 1;
/// Copies of the stacks of CPU samples.
pub const SAMPLE_COPIES: usize = 2;
/// Copies of the stacks of calls.
pub const CALL_COPIES: usize = 3;

/// Whether this CPU may send one more at `now`; `kind` is a constant.
#[inline(always)]
pub fn allows(kind: usize, now: u64, each_second: u32) -> bool {
    allows_in(kind, now >> 30, each_second)
}

/// The same for another period than a second, given by its number.
#[inline(always)]
pub fn allows_in(kind: usize, second: u64, each: u32) -> bool {
    let Some(allowances) = ALLOWANCES.get_ptr_mut(0) else { return false };
    // SAFETY: this CPU's own value.
    let allowance = unsafe { &mut (*allowances)[kind] };
    if allowance.second != second {
        allowance.second = second;
        allowance.sent = 0;
    }
    allowance.sent += 1;
    allowance.sent <= each
}
