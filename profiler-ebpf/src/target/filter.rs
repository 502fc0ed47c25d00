//! The target filter: who is measured. All kinds must match; of each kind, one entry must match.
//!
//! In: a task, or the running one. Out: yes or no, within nanoseconds. The verifier removes the checks of kinds that
//! the user did not ask for.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::global::COMMS;

use crate::global;
use crate::target::{cgroup, own, thread_name};
use crate::task::{self, Task};

/// Processes of a `--pid` target and their children, with the address of their leader's task; 0: unknown.
#[map]
pub static TARGETS: HashMap<u32, u64> = HashMap::with_max_entries(16_384, 0);

/// Whether the running task is measured, on this CPU.
#[inline(always)]
pub fn admits_current(task: Task) -> bool {
    admits_this_cpu() && admits_running(task)
}

/// Whether what happens on this CPU is measured.
#[inline(always)]
pub fn admits_this_cpu() -> bool {
    // SAFETY: the helper has no preconditions.
    global::by_cpu() == 0 || global::cpu_selected(unsafe { bpf_get_smp_processor_id() })
}

/// Whether the running task is measured, on some CPU.
#[inline(always)]
pub fn admits_running(task: Task) -> bool {
    admits_tgid((bpf_get_current_pid_tgid() >> 32) as u32) && admits_task(task)
}

/// Whether another task is measured: one that sleeps counts for the CPU it was on last.
#[inline(always)]
pub fn admits(task: Task) -> bool {
    (global::by_cpu() == 0 || global::cpu_selected(task::last_cpu(task)))
        && admits_tgid(task::tgid(task))
        && admits_task(task)
}

/// Whether the running task, of this process, is measured on this CPU; asks for the task only where the
/// target is one of cgroups or names.
#[inline(always)]
pub fn admits_process(tgid: u32) -> bool {
    admits_this_cpu()
        && admits_tgid(tgid)
        && (global::cgroup_count() == 0 && !global::by_name() || admits_task(task::current()))
}

#[inline(always)]
fn admits_task(task: Task) -> bool {
    (global::cgroup_count() == 0 || cgroup::selected(task))
        && (global::comm_count() == 0 || admits_comm(task::leader(task)))
        && (global::thread_count() == 0 || thread_name::selected(task))
}

#[inline(always)]
fn admits_tgid(tgid: u32) -> bool {
    if global::by_tgid() != 0 {
        // SAFETY: the value is not read.
        return tgid != global::self_tgid() && unsafe { TARGETS.get(&tgid) }.is_some();
    }
    tgid != global::self_tgid() && !own::is_child(tgid)
}

/// The name of a process is that of its leader, whatever its other threads are called.
#[inline(always)]
fn admits_comm(leader: Task) -> bool {
    let name = task::comm(leader);
    for index in 0..COMMS {
        if index as u32 >= global::comm_count() {
            return false;
        }
        if global::comm(index) == (name[0], name[1]) {
            return true;
        }
    }
    false
}
