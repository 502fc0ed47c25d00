//! Who sent a process the signal that may end it.
//!
//! In: signals, victims of the out-of-memory killer. Out: rows of `SENDERS`, for processes of the target.
//! Most signals are left after two comparisons.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use profiler_common::death::{FAULTS, KEPT_SIGNALS, Sender, flag};

use crate::clock::now_ns;
use crate::global::{self, offset};
use crate::outcome::busy;
use crate::target::cgroup;
use crate::target::filter::TARGETS;
use crate::task;
use crate::task::read::read;

/// Who sent processes the signal that may end them. What is forgotten is told as not known.
#[map]
pub static SENDERS: LruHashMap<u32, Sender> = LruHashMap::with_max_entries(4_096, 0);

/// `TRACE_SIGNAL_DELIVERED` (include/trace/events/signal.h).
const DELIVERED: u32 = 0;
/// `SEND_SIG_PRIV` (include/linux/sched/signal.h) in the place of a pointer: the kernel sends it.
const BY_KERNEL: u64 = 1;

/// A signal was sent to a task, with its `siginfo`.
#[inline(always)]
pub fn signal(signal: u32, (siginfo, task): (u64, u64), result: u32) {
    if signal >= 32 || KEPT_SIGNALS & 1 << signal == 0 || result != DELIVERED {
        return;
    }
    let fault = FAULTS & 1 << signal != 0;
    // Codes above 0 are the kernel's. Of faults there may be many, and a death tells by itself that it was one.
    let by_kernel = siginfo == BY_KERNEL
        || siginfo > BY_KERNEL
            && read::<i32>(siginfo + offset!(siginfo_code) as u64).is_some_and(|code| code > 0);
    if global::have_offsets() == 0 || fault && by_kernel {
        return;
    }
    let Some(tgid) = read::<u32>(task + offset!(task_tgid) as u64) else { return };
    // SAFETY: the value is not read.
    if global::by_tgid() != 0 && unsafe { TARGETS.get(&tgid) }.is_none() {
        return;
    }
    if global::cgroup_count() != 0 && cgroup::selected_at(task) == 0 {
        return;
    }
    let flags = if by_kernel { flag::BY_KERNEL } else { flag::SENT };
    let sender = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: the value is copied at once.
    let last = unsafe { SENDERS.get(&tgid) }.copied().unwrap_or_default();
    let (before, before_ns) = match last.signal {
        same if same == signal => (last.before, last.before_ns),
        other => (other, last.time_ns),
    };
    let current = task::current();
    let (comm, cgroup) = (task::comm(current), cgroup::own_id(current));
    let sent = Sender { signal, flags, tgid: sender, before, comm, cgroup, time_ns: now_ns(), before_ns };
    let _ = busy(|| SENDERS.insert(&tgid, &sent, u64::from(BPF_ANY)));
}

/// The kernel chose a victim when memory ran out: a task, or before Linux 6.8 the number of one.
#[inline(always)]
pub fn victim(victim: u64) {
    let number = victim <= u64::from(u32::MAX);
    let tgid = if number { Some(victim as u32) } else { read(victim + offset!(task_tgid) as u64) };
    if let Some(sender) = tgid.and_then(|tgid| SENDERS.get_ptr_mut(&tgid)) {
        // SAFETY: an aligned word of the map's value.
        unsafe { (*sender).flags |= flag::OUT_OF_MEMORY };
    }
}
