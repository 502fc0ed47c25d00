//! Numbers of tasks in their own pid namespaces, as a container sees them.
//!
//! In: a task's address. Out: its number, and the namespace. All of it is read by helper.

use crate::global::offset;
use crate::task::read::read;

/// Namespaces below each other (`MAX_PID_NS_LEVEL`).
const LEVELS: u32 = 32;
/// Bytes of a `struct upid`: a number and its namespace.
const EACH: u64 = 16;

/// The address of the `upid` in the task's own namespace; 0: it cannot be told.
#[inline(always)]
fn upid(task: u64) -> u64 {
    if offset!(task_thread_pid) == 0 {
        return 0;
    }
    let pid = read::<u64>(task + offset!(task_thread_pid) as u64).unwrap_or(0);
    let level = read::<u32>(pid + offset!(pid_level) as u64).unwrap_or(0);
    if pid == 0 || level > LEVELS {
        return 0;
    }
    pid + offset!(pid_numbers) as u64 + EACH * u64::from(level)
}

/// The task's namespace, and its number there.
#[inline(always)]
pub fn own(task: u64) -> Option<(u64, u32)> {
    let upid = upid(task);
    if upid == 0 {
        return None;
    }
    Some((read(upid + offset!(upid_ns) as u64)?, read(upid)?))
}

/// The number alone; 0: not known.
#[inline(always)]
pub fn innermost(task: u64) -> u32 {
    let upid = upid(task);
    if upid == 0 { 0 } else { read(upid).unwrap_or(0) }
}
