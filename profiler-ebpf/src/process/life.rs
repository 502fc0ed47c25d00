//! The lives of processes.
//!
//! In: exec, fork, exit, and the end of a task's memory. Out: events of new images. The `--pid` set gains the children of
//! forks, and loses processes that have ended, and pids that other processes got.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::programs::RawTracePointContext;
use aya_log_ebpf::debug;
use profiler_common::abi::{BEGAN_BEFORE, is_exit};
use profiler_common::event::NOT_IN_CALL;
use profiler_common::outcome::Outcome;
use profiler_common::stack::NO_STACK;
use profiler_state::thread::{Thread, flag};

use crate::blame::memory;
use crate::crash::caught;
use crate::death::end;
use crate::follow::inside;
use crate::global::offset;
use crate::lsm::open;
use crate::offcpu::blocked;
use crate::outcome::{busy, count};
use crate::peer::last;
use crate::process::announce::{PROCESSES, send};
use crate::syscall::interrupted;
use crate::target::filter::{self, TARGETS};
use crate::target::own;
use crate::task::read::read;
use crate::thread::{record, slot};
use crate::{global, task};

/// The running process became another program.
#[inline(always)]
pub fn exec() {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if let Some(leader) = TARGETS.get_ptr_mut(&tgid) {
        // Whoever execs leads from here on. SAFETY: an aligned word; only this process's leader writes it.
        unsafe { leader.write_volatile(task::address(task::current())) };
    }
    if global::cgroup_count() != 0 {
        inside::executed(task::current());
    }
    if !filter::admits_this_cpu() {
        // Its next row, on a measured CPU, announces the new image.
        let _ = busy(|| PROCESSES.remove(&tgid));
    } else if filter::admits_running(task::current()) {
        let _ = busy(|| PROCESSES.insert(&tgid, &1, 0));
        send(tgid);
    }
}

/// The running process made a child.
#[inline(always)]
pub fn fork(ctx: &RawTracePointContext) {
    let child = ctx.arg::<u64>(1);
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    let ours = parent == global::self_tgid();
    // Without offsets nobody's id can be read: the plan says that children are not followed.
    if global::by_tgid() == 0 && !ours || global::have_offsets() == 0 {
        return;
    }
    let Some(tgid) = read::<u32>(child + offset!(task_tgid) as u64) else { return };
    if tgid == parent {
        return;
    }
    // SAFETY: the values are not read.
    let (of_target, known) = unsafe { (TARGETS.get(&parent).is_some(), TARGETS.get(&tgid).is_some()) };
    if ours {
        // Its number may have been the target's.
        if known {
            let _ = busy(|| TARGETS.remove(&tgid));
        }
        return own::begins(tgid);
    }
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
    open::free(task);
    if global::task_storage() == 0 {
        record::free(task);
        last::free(task);
    }
    if global::by_tgid() != 0 && global::have_offsets() != 0 {
        let (Some(tgid), Some(tid)) =
            (read::<u32>(task + offset!(task_tgid) as u64), read::<u32>(task + offset!(task_pid) as u64))
        else {
            return;
        };
        // SAFETY: an aligned word, written whole.
        let leader = unsafe { TARGETS.get(&tgid) }.copied();
        // Its number may be another process's by now, which joined before this one was freed.
        if tgid == tid && leader.is_some_and(|leader| leader == task || leader == 0) {
            let _ = busy(|| TARGETS.remove(&tgid));
        }
    }
}

/// The running thread ends.
#[inline(always)]
pub fn exit() {
    memory::forget(task::current());
    let ids = bpf_get_current_pid_tgid();
    let tgid = (ids >> 32) as u32;
    // Numbers, no options: the verifier refuses the undefined value of one that is none where it is moved.
    let mut nr = slot::leave().unwrap_or(NOT_IN_CALL);
    if let Some(thread) = record::get(task::current()) {
        let in_record = ends(thread, tgid);
        if nr == NOT_IN_CALL {
            nr = in_record;
        }
    }
    if nr != NOT_IN_CALL && !is_exit(nr & !BEGAN_BEFORE) {
        count(Outcome::EndedByDeath, 1);
    }
    caught::ended(ids as u32);
    end::ended(task::current(), tgid);
    if ids as u32 == tgid {
        own::ends(tgid);
        // SAFETY: the value is not read.
        if unsafe { PROCESSES.get(&tgid) }.is_some() {
            let _ = busy(|| PROCESSES.remove(&tgid));
        }
    }
}

/// The call in the thread's own state, which ends here: its long waits get their rows, without a user stack. One that was
/// interrupted, and did not go on, has a row of its own.
#[inline(always)]
fn ends(thread: &Thread, tgid: u32) -> u32 {
    if !thread.pending.is_empty() {
        blocked::settle_waits(tgid, NO_STACK);
    }
    let (in_call, called) = (thread.in_call(), thread.nr.get());
    // A deadly signal interrupts a sleeping call first: it exits as if to be restarted.
    let was_interrupted = thread.is(flag::INTERRUPTED);
    if was_interrupted {
        interrupted::is_over(thread);
    }
    thread.flags.set(0);
    match (in_call, was_interrupted) {
        (true, _) => called,
        (false, true) => thread.interrupted.nr.get(),
        (false, false) => NOT_IN_CALL,
    }
}
