//! The target filter: who is measured. Kinds AND, the entries of a kind OR.
//!
//! In: a task, or the running one. Out: yes or no, in nanoseconds; what is not asked for is
//! folded away by the verifier.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id};
use profiler_common::global::COMMS;

use crate::maps::TARGETS;
use crate::task::{self, Task};
use crate::{cgroup, global};

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
        && (global::cgroup_count() == 0 && global::comm_count() == 0 || admits_task(task::current()))
}

#[inline(always)]
fn admits_task(task: Task) -> bool {
    (global::cgroup_count() == 0 || cgroup::selected(task))
        && (global::comm_count() == 0 || admits_comm(task))
}

#[inline(always)]
fn admits_tgid(tgid: u32) -> bool {
    // SAFETY: the value is not read.
    tgid != global::self_tgid() && (global::by_tgid() == 0 || unsafe { TARGETS.get(&tgid) }.is_some())
}

#[inline(always)]
fn admits_comm(task: Task) -> bool {
    let name = task::comm(task);
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
