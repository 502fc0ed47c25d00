//! The class that a wait off the CPU is ranked in.
//!
//! In: the call it is in; outside of calls, its kernel stack. Out: work, user lock or idle: a thread of the kernel, or
//! one that works in it for a process (io_uring, vhost), waits for something to do when it sleeps in its main loop.

use std::collections::HashMap;

use super::stacks;
use crate::profile::waits::{WaitKey, WaitStackKey};
use crate::profile::{Profile, StackId};
use crate::render::findings::ASLEEP;
use crate::render::locks;
use crate::render::name::kernel_functions;
use crate::render::syscalls::{self, CallClass};

/// Functions between `schedule` and `kthread` in a main loop at most: `rcu_gp_fqs_loop < rcu_gp_kthread`.
/// What a worker runs lies deeper, below `process_one_work < worker_thread`.
const LOOP_DEPTH: usize = 2;

/// Main loops of threads that work for a process.
const LOOPS: [&str; 3] = ["io_wq_worker", "io_sq_thread", "vhost_task_fn"];

/// Classes, each told once.
pub struct Classes<'p> {
    profile: &'p Profile,
    loops: HashMap<StackId, bool>,
}

impl<'p> Classes<'p> {
    /// None told yet.
    pub fn new(profile: &'p Profile) -> Self {
        Self { profile, loops: HashMap::new() }
    }

    /// Of waits with these stacks.
    pub fn of_stack(&mut self, key: &WaitStackKey) -> CallClass {
        let profile = self.profile;
        match key.row.nr {
            Some(nr) => syscalls::class(nr),
            None if *self.loops.entry(key.kernel).or_insert_with(|| in_main_loop(profile, key.kernel)) => {
                CallClass::Idle
            }
            None => CallClass::Work,
        }
    }

    /// Of a row: outside of calls, that of most of its time that has stacks.
    pub fn of_row(&mut self, key: &WaitKey) -> CallClass {
        if let Some(nr) = key.nr {
            return syscalls::class(nr);
        }
        let (mut idle, mut all) = (0u64, 0u64);
        for (stack, ns) in stacks(self.profile, key, u64::MAX).0 {
            all = all.saturating_add(ns);
            if self.of_stack(stack) == CallClass::Idle {
                idle = idle.saturating_add(ns);
            }
        }
        if idle > all / 2 { CallClass::Idle } else { CallClass::Work }
    }
}

fn in_main_loop(profile: &Profile, kernel: StackId) -> bool {
    let functions = kernel_functions(&profile.stacks, kernel).map(locks::base);
    let mut awake = functions.skip_while(|function| ASLEEP.contains(function));
    let Some(first) = awake.next() else { return false };
    LOOPS.contains(&first) || awake.take(LOOP_DEPTH).any(|function| function == "kthread")
}
