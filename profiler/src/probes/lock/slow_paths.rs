//! The functions whose whole run is a wait for a lock.
//!
//! In: nothing. Out: [`SPINNING`] and [`SLEEPING`], each function with its programs.

use profiler_common::processor::SPIN_SLOW_PATHS;

use crate::plan::hooks::{Absent, SlowPath};

const fn path(
    functions: &'static [&'static str],
    absent: Absent,
    trampoline: (&'static str, &'static str),
    kprobe: (&'static str, &'static str),
) -> SlowPath {
    SlowPath { functions, absent, trampoline, kprobe }
}

const SPIN: (&str, &str) = ("kprobe_spin", "kretprobe_spin");
const MUTEX: (&str, &str) = ("kprobe_mutex", "kretprobe_mutex");

/// Waits for locks that spin.
pub const SPINNING: &[SlowPath] = &[
    path(SPIN_SLOW_PATHS[0], Absent::Fails, ("enter_spin_native", "leave_spin_native"), SPIN),
    path(SPIN_SLOW_PATHS[1], Absent::Nothing, ("enter_spin_pv", "leave_spin_pv"), SPIN),
    path(
        &["queued_read_lock_slowpath"],
        Absent::Unseen,
        ("enter_rwlock_read", "leave_rwlock_read"),
        ("kprobe_rwlock_read", "kretprobe_rwlock_read"),
    ),
    path(
        &["queued_write_lock_slowpath"],
        Absent::Unseen,
        ("enter_rwlock_write", "leave_rwlock_write"),
        ("kprobe_rwlock_write", "kretprobe_rwlock_write"),
    ),
];

/// Waits for locks that sleep.
pub const SLEEPING: &[SlowPath] = &[
    path(&["__mutex_lock_slowpath"], Absent::Fails, ("enter_mutex", "leave_mutex"), MUTEX),
    path(
        &["__mutex_lock_killable_slowpath"],
        Absent::Unseen,
        ("enter_mutex_killable", "leave_mutex_killable"),
        MUTEX,
    ),
    path(
        &["__mutex_lock_interruptible_slowpath"],
        Absent::Unseen,
        ("enter_mutex_interruptible", "leave_mutex_interruptible"),
        MUTEX,
    ),
    path(
        &["rwsem_down_read_slowpath"],
        Absent::Fails,
        ("enter_rwsem_read", "leave_rwsem_read"),
        ("kprobe_rwsem_read", "kretprobe_rwsem_read"),
    ),
    path(
        &["rwsem_down_write_slowpath"],
        Absent::Fails,
        ("enter_rwsem_write", "leave_rwsem_write"),
        ("kprobe_rwsem_write", "kretprobe_rwsem_write"),
    ),
];
