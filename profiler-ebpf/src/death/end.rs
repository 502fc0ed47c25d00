//! The ends of processes.
//!
//! In: the end of each thread, which `process` tells. Out: a death event for each process of the target that failed or
//! was killed, and how many ended well.

use core::ffi::c_void;

use aya_ebpf::bindings::BPF_RB_FORCE_WAKEUP;
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use profiler_common::death::{DeathEvent, EACH_SECOND};
use profiler_common::event::DEATH;
use profiler_common::outcome::Outcome;

use crate::allowance;
use crate::clock::now_ns;
use crate::death::sender::SENDERS;
use crate::event::EVENTS;
use crate::follow::inside;
use crate::global::{self, offset};
use crate::outcome::{busy, count};
use crate::target::{cgroup, filter};
use crate::task::read::load;
use crate::task::{self, Task};

/// `SIGNAL_GROUP_EXIT` (include/linux/sched/signal.h): the whole process ends, with one code.
const GROUP_EXIT: u32 = 4;

/// The running thread ends; the last one ends its process.
#[inline(always)]
pub fn ended(task: Task, tgid: u32) {
    if global::have_offsets() == 0 || offset!(task_signal) == 0 {
        return;
    }
    // SAFETY: `task` is a BTF pointer, and so is what its field holds.
    let (signal, live) = unsafe {
        let signal: *const c_void = load(task.cast(), offset!(task_signal));
        (signal, load::<u32>(signal, offset!(signal_live)))
    };
    if live == 0 && !task::is_kernel_thread(task) && filter::admits_running(task) {
        last(task, signal, tgid);
    }
}

#[inline(always)]
fn last(task: Task, signal: *const c_void, tgid: u32) {
    let now = now_ns();
    inside::ended(task, now);
    let code = exit_code(task, signal);
    if code == 0 {
        count(Outcome::PlainExit, 1);
        forget(tgid);
        return;
    }
    let leader = task::leader(task);
    let [low, high] = task::comm(leader);
    let mut event = DeathEvent {
        tag: DEATH,
        tgid,
        time_ns: now,
        started_ns: task::start_ns(leader),
        cgroup: cgroup::own_id(task),
        exit_code: code,
        flags: 0,
        signal: 0,
        sender: 0,
        comm: [low, high],
        sender_comm: [0; 2],
        sender_cgroup: 0,
        before: 0,
        pad: 0,
        before_ns: 0,
    };
    add_sender(&mut event);
    forget(tgid);
    send(&mut event);
}

/// Who sent the signal, field by field: the stack has no room for a copy.
#[inline(always)]
fn add_sender(event: &mut DeathEvent) {
    // SAFETY: words that are copied one by one.
    let Some(sender) = (unsafe { SENDERS.get(&event.tgid) }) else { return };
    (event.flags, event.signal, event.sender) = (sender.flags, sender.signal, sender.tgid);
    let [low, high] = sender.comm;
    event.sender_comm = [low, high];
    (event.sender_cgroup, event.before, event.before_ns) = (sender.cgroup, sender.before, sender.before_ns);
}

/// Its number is another's next.
#[inline(always)]
fn forget(tgid: u32) {
    // SAFETY: the value is not read.
    if unsafe { SENDERS.get(&tgid) }.is_some() {
        let _ = busy(|| SENDERS.remove(&tgid));
    }
}

/// Signal and status as the parent gets them.
#[inline(always)]
fn exit_code(task: Task, signal: *const c_void) -> u32 {
    // SAFETY: BTF pointers.
    unsafe {
        let flags: u32 = load(signal, offset!(signal_flags));
        if flags & GROUP_EXIT != 0 {
            load(signal, offset!(signal_exit_code))
        } else {
            load(task::leader(task).cast(), offset!(task_exit_code))
        }
    }
}

#[inline(always)]
fn send(event: &mut DeathEvent) {
    let events = (&raw const EVENTS).cast_mut().cast();
    let wake = u64::from(BPF_RB_FORCE_WAKEUP);
    let sent = allowance::allows(allowance::DEATHS, event.time_ns, EACH_SECOND)
        // SAFETY: the event is on the stack.
        && busy(|| unsafe {
            bpf_ringbuf_output(events, (&raw mut *event).cast(), size_of::<DeathEvent>() as u64, wake)
        }) == 0;
    if !sent {
        count(Outcome::DeathUntold, 1);
    }
}
