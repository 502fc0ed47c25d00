//! Where a thread waits, by its kernel stack alone.
//!
//! In: a kernel stack. Out: what it allows to say of the wait's class: work (a disk, a lock), idle (a terminal, an
//! accept, a kernel worker's main loop), or nothing.

use super::verdict::{Basis, Verdict};
use crate::profile::{Profile, StackId};
use crate::render::name::kernel_functions;
use crate::render::syscalls::CallClass;
use crate::render::telling::ASLEEP;
use crate::render::{cause, locks};

/// Functions between `schedule` and `kthread` in a main loop at most: `rcu_gp_fqs_loop < rcu_gp_kthread`.
/// The work that a worker runs is deeper on the stack, below `process_one_work < worker_thread`.
const LOOP_DEPTH: usize = 2;

/// Main loops of threads that work for a process.
const LOOPS: [&str; 3] = ["io_wq_worker", "io_sq_thread", "vhost_task_fn"];

/// Beginnings of functions in which a thread waits for something from outside, whatever the call.
const FROM_OUTSIDE: [&str; 6] =
    ["n_tty_read", "inotify_read", "fuse_dev_do_read", "inet_csk_accept", "uevent_", "do_syslog"];

/// Whether one of the stack's functions begins so.
pub fn has(profile: &Profile, kernel: StackId, beginnings: &[&str]) -> bool {
    let mut functions = kernel_functions(&profile.stacks, kernel).map(locks::base);
    functions.any(|function| beginnings.iter().any(|start| function.starts_with(start)))
}

/// The verdict that the kernel stack of a wait allows on its own.
pub fn place(profile: &Profile, kernel: StackId) -> Option<Verdict> {
    if has(profile, kernel, &FROM_OUTSIDE) {
        return Some((CallClass::Idle, Basis::Place));
    }
    let functions = kernel_functions(&profile.stacks, kernel).map(locks::base);
    let work = cause::of(functions).is_some_and(cause::is_work);
    work.then_some((CallClass::Work, Basis::Place))
}

/// Whether a thread that works for the kernel or for a process waits in its main loop.
pub fn in_main_loop(profile: &Profile, kernel: StackId) -> bool {
    let functions = kernel_functions(&profile.stacks, kernel).map(locks::base);
    let mut awake = functions.skip_while(|function| ASLEEP.contains(function));
    let Some(first) = awake.next() else { return false };
    LOOPS.contains(&first) || awake.take(LOOP_DEPTH).any(|function| function == "kthread")
}
