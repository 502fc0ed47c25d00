//! Process life. Hooks: raw tracepoints `sched_process_exec`, `_fork`, `_exit`, `_free`.
//!
//! Produces: a process event for every process that has a row, and for its new image after exec;
//! the `--pid` set grows with forks, shrinks when processes are gone, and gives up numbers that strangers get.

use core::ffi::c_void;

use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_FORCE_WAKEUP};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_ringbuf_output};
use aya_ebpf::programs::RawTracePointContext;
use aya_log_ebpf::debug;
use profiler_common::COMM_BYTES;
use profiler_common::event::{PROCESS, ProcessEvent};
use profiler_common::outcome::Outcome;

use crate::clock::now_ns;
use crate::global::offset;
use crate::maps::{EVENTS, PROCESSES, TARGETS};
use crate::outcome::{busy, count};
use crate::state::flag;
use crate::{cgroup, global, lsm_open, slot, target, task, thread};
use profiler_common::processor::{EXIT, EXIT_GROUP};

/// Tells user space of the running process the first time it gets a row.
#[inline(always)]
pub fn announce(tgid: u32) {
    // SAFETY: the value is not read.
    if unsafe { PROCESSES.get(&tgid) }.is_none()
        && busy(|| PROCESSES.insert(&tgid, &1, u64::from(BPF_NOEXIST))).is_ok()
    {
        send(tgid);
    }
}

/// A global function: for each pointer that is followed, verifiers since 6.3 search all of the kernel's types by name,
/// which they shall do once in a program, and not for every way there.
#[unsafe(no_mangle)]
#[inline(never)]
fn send(tgid: u32) -> u32 {
    let task = task::current();
    let named = if global::have_offsets() == 0 { task } else { task::leader(task) };
    let mut event = ProcessEvent {
        tag: PROCESS,
        tgid,
        time_ns: now_ns(),
        cgroup: cgroup::own_id(task),
        comm: [0; COMM_BYTES],
    };
    // SAFETY: helpers check their addresses; the event is on the stack.
    unsafe {
        bpf_probe_read_kernel(
            event.comm.as_mut_ptr().cast(),
            COMM_BYTES as u32,
            named.byte_add(offset!(task_comm)).cast::<c_void>(),
        );
        let sent = busy(|| {
            bpf_ringbuf_output(
                (&raw const EVENTS).cast_mut().cast(),
                (&raw mut event).cast(),
                size_of::<ProcessEvent>() as u64,
                // As for user stacks: a silent record before it must not hold it back.
                u64::from(BPF_RB_FORCE_WAKEUP),
            )
        });
        if sent != 0 {
            count(Outcome::EventRingFull, 1);
        }
    }
    0
}

/// The running process became another program.
#[inline(always)]
pub fn exec() {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if let Some(leader) = TARGETS.get_ptr_mut(&tgid) {
        // Whoever execs leads from here on. SAFETY: an aligned word; only this process's leader writes it.
        unsafe { leader.write_volatile(task::address(task::current())) };
    }
    if !target::admits_this_cpu() {
        // Its next row, on a measured CPU, announces the new image.
        let _ = busy(|| PROCESSES.remove(&tgid));
    } else if target::admits_running(task::current()) {
        let _ = busy(|| PROCESSES.insert(&tgid, &1, 0));
        send(tgid);
    }
}

/// The running process made a child.
#[inline(always)]
pub fn fork(ctx: &RawTracePointContext) {
    let child = ctx.arg::<u64>(1);
    // Without offsets nobody's id can be read: the plan says that children are not followed.
    if global::by_tgid() == 0 || global::have_offsets() == 0 {
        return;
    }
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    let tgid = word(child, offset!(task_tgid));
    if tgid == 0 || tgid == parent {
        return;
    }
    // SAFETY: the values are not read.
    let (of_target, known) = unsafe { (TARGETS.get(&parent).is_some(), TARGETS.get(&tgid).is_some()) };
    if of_target {
        if busy(|| TARGETS.insert(&tgid, &child, 0)).is_err() {
            count(Outcome::TargetFull, 1);
        }
        debug!(ctx, "pid {} joins the target with its parent {}", tgid, parent);
    } else if known {
        // A number is given again when its process is gone: this one is a stranger.
        let _ = busy(|| TARGETS.remove(&tgid));
        debug!(ctx, "pid {} was the target's and is a stranger's now", tgid);
    }
}

/// The kernel frees a task (an untyped address here), for good: of a process, its leader is the last.
#[inline(always)]
pub fn free(task: u64) {
    lsm_open::free(task);
    if global::task_storage() == 0 {
        thread::free(task);
    }
    if global::by_tgid() != 0 && global::have_offsets() != 0 {
        let (tgid, tid) = (word(task, offset!(task_tgid)), word(task, offset!(task_pid)));
        // SAFETY: an aligned word, written whole.
        let leader = unsafe { TARGETS.get(&tgid) }.copied();
        // Its number may be another process's by now, which joined before this one was freed.
        if tgid == tid && leader.is_some_and(|leader| leader == task || leader == 0) {
            let _ = busy(|| TARGETS.remove(&tgid));
        }
    }
}

/// A word of a task by its address; 0 when it is not readable.
#[inline(always)]
fn word(task: u64, offset: usize) -> u32 {
    let mut word = 0u32;
    // SAFETY: the helper checks the address.
    unsafe {
        bpf_probe_read_kernel((&raw mut word).cast(), 4, (task + offset as u64) as *const c_void);
    }
    word
}

/// The running thread ends.
#[inline(always)]
pub fn exit() {
    let task = task::current();
    if let Some(nr) = slot::leave().or_else(|| call_of(task))
        && nr != EXIT
        && nr != EXIT_GROUP
    {
        count(Outcome::EndedByDeath, 1);
    }
    let ids = bpf_get_current_pid_tgid();
    let tgid = (ids >> 32) as u32;
    if ids as u32 == tgid {
        // SAFETY: the value is not read.
        if unsafe { PROCESSES.get(&tgid) }.is_some() {
            let _ = busy(|| PROCESSES.remove(&tgid));
        }
    }
}

/// The call in the thread's own state, which ends here.
#[inline(always)]
fn call_of(task: task::Task) -> Option<u32> {
    let thread = thread::get(task)?;
    let flags = thread.flags;
    thread.flags = 0;
    if flags & flag::IN_CALL != 0 {
        return Some(thread.nr);
    }
    // A deadly signal interrupts a sleeping call first: it exits as if to be restarted.
    (flags & flag::INTERRUPTED != 0).then_some(thread.interrupted.nr)
}
