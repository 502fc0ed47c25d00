//! What the state machines ask about a thread, and where they put what they find.
//!
//! In the kernel it reads the task and writes rows; in tests it is a model.

use profiler_common::outcome::Outcome;

use crate::thread::Thread;

/// One thread's surroundings.
pub trait World {
    /// How often it left a CPU, by the kernel's own count, which already includes the present switch when `sched_switch` fires.
    fn switches(&self) -> u64;
    /// Its state, asked while it leaves the CPU: 0 when it stays runnable.
    fn state(&self) -> u32;
    /// Whether its cgroup's CPU quota keeps it off the CPU.
    fn is_throttled(&self) -> bool;
    /// What the scheduler has on it, ns: time it ran, and time it was ready to run and did not.
    fn accounts(&self) -> (u64, u64);
    /// Takes its kernel stack.
    fn stack(&self) -> u64;

    /// Whether threads are followed outside of calls, too.
    fn follows_all(&self) -> bool;
    /// Whether the kernel's count of switches can be read.
    fn counts_switches(&self) -> bool;
    /// Whether the scheduler's accounts make up for a switch that was not seen.
    fn has_accounts(&self) -> bool;
    /// Whether waits that block are rows.
    fn wants_blocked(&self) -> bool;
    /// Whether `sched_switch` is not attached yet.
    fn is_early(&self) -> bool;
    /// Waits shorter than this never pay for a stack, ns.
    fn wait_min_ns(&self) -> u64;

    /// Counts an outcome.
    fn count(&self, outcome: Outcome);
    /// It was blocked for `ns`, as its slice says, with this kernel stack if that was long.
    fn blocked(&self, thread: &Thread, ns: u64, kernel: u64);
    /// It waited for a CPU from `since` to `now`.
    fn queued(&self, thread: &Thread, wait: u32, since: u64, now: u64);
    /// It waited for a CPU, and nobody saw who ran meanwhile.
    fn queued_unseen(&self, thread: &Thread, wait: u32, ns: u64);
    /// Calls [`crate::unseen::recover`] for it. The kernel side does so once, whoever asks.
    fn recover(&self, thread: &Thread, now: u64);
}
