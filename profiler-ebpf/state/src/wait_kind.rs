//! Kinds of waits off the CPU in a call, each with a stack of its own.
//!
//! In: what a thread waits for ([`profiler_common::wait::Wait`]). Out: the kind.

use profiler_common::wait::Wait;

/// Asleep, on no lock that is known.
pub const SLEEP: u32 = 0;
/// Asleep on a kernel lock.
pub const LOCK: u32 = 1;
/// Runnable all the time.
pub const RUNNABLE: u32 = 2;
/// How many there are.
pub const KINDS: usize = 3;

/// The kind of a wait.
#[inline(always)]
pub const fn of(wait: u32) -> u32 {
    let asleep = if wait == Wait::Lock as u32 { LOCK } else { SLEEP };
    if is_runnable(wait) { RUNNABLE } else { asleep }
}

/// Whether the thread waits for a CPU only.
#[inline(always)]
pub const fn is_runnable(wait: u32) -> bool {
    wait >= Wait::Woken as u32
}
