//! Calls in flight, by the task iterator that user space runs at attach and at the end.
//!
//! At attach (first run): seeds the state of threads that already sleep in a call. At the end:
//! writes every thread that is inside a call, with its age and kernel stack; where waits are rows, it writes every thread
//! that waits, too. Tasks that are ending or have ended are in no call.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_get_task_stack, bpf_probe_read_kernel, bpf_seq_write};
use profiler_common::COMM_BYTES;
use profiler_common::abi::BEGAN_BEFORE;
use profiler_common::event::{IN_FLIGHT, InFlightEvent, NOT_IN_CALL, ON_CPU};
use profiler_common::outcome::Outcome;
use profiler_common::processor::REGISTER_WORDS;
use profiler_common::stack::FRAMES;
use profiler_common::wait::Wait;
use profiler_state::thread::{Thread, flag};
use profiler_state::{away, call};

use crate::clock::now_ns;
use crate::global;
use crate::outcome::count;
use crate::stack::buffer::{Buffer, SCRATCH};
use crate::syscall::asked;
use crate::target::filter;
use crate::task::read::follow;
use crate::task::{self, Task};
use crate::thread::record;
use crate::thread::world::Of;

/// One task of the iteration; the last visit has none.
#[inline(always)]
pub fn visit(ctx: *mut c_void) {
    // SAFETY: `struct bpf_iter__task { meta, task }` (kernel/bpf/task_iter.c).
    let (meta, task): (*const c_void, Task) = unsafe { (follow(ctx, 0), follow(ctx, 8)) };
    if task.is_null() || !task::makes_calls(task) || !filter::admits(task) {
        return;
    }
    match record::get(task) {
        Some(thread) if thread.in_call() => {
            write(meta, task, thread, (thread.nr.get(), thread.enter_ns.get()));
        }
        // Stopped or frozen inside a call, or in a signal's handler: the call is not over.
        Some(thread) if thread.is(flag::INTERRUPTED) => {
            write(meta, task, thread, (thread.interrupted.nr.get(), thread.interrupted.enter_ns.get()));
        }
        Some(thread) if global::follows_all() && thread.slice.out_ns.get() != 0 => {
            write(meta, task, thread, (NOT_IN_CALL, 0));
        }
        Some(thread) if thread.is(flag::KNOWN) => {}
        _ => seed(task),
    }
}

/// A thread never seen: if it is off the CPU, its wait began before attach, and so did the call it is in, if any. Of one
/// that runs, its next switch or exit tells whether it was in a call.
#[inline(always)]
fn seed(task: Task) {
    let (runs, old) = (task::is_on_cpu(task), task::start_ns(task) < global::attach_ns());
    let sleeps = !runs && old;
    // A number, no option: the verifier refuses the undefined value of one that is none where it is moved.
    let nr = if sleeps { asked::of(task).unwrap_or(NOT_IN_CALL) } else { NOT_IN_CALL };
    if nr == NOT_IN_CALL && !global::follows_all() && !(runs && old) {
        return;
    }
    let Some(thread) = record::get_or_create(task) else { return };
    let now = now_ns();
    if runs && old && thread.flags.get() == 0 {
        call::may_be(&Of(task), thread, now);
    }
    if nr != NOT_IN_CALL {
        thread.nr.set(nr | BEGAN_BEFORE);
        thread.enter_ns.set(now);
        thread.parts.clear();
        thread.flags.set(flag::KNOWN | flag::IN_CALL | flag::SEEDED);
    }
    if sleeps {
        let (state, switches) = (task::state(task), task::switches(task));
        let wait = if state == 0 { Wait::Woken } else { away::asleep_in(state) };
        away::seed(&Of(task), thread, wait, now);
        // It may have run meanwhile, or been woken: then its wait is not what was seeded.
        let away_ns = if state == 0 { 0 } else { task::away_ns(task) };
        thread.before_ns.set(away_ns);
        if task::is_on_cpu(task) || task::switches(task) != switches || task::state(task) != state {
            away::unseed(thread);
            thread.before_ns.set(0);
        } else if global::follows_all() {
            count(Outcome::WaitBeforeAttach, 1);
        }
    }
}

/// What the thread waits for: by its last switch where that was seen, else by its state.
#[inline(always)]
fn waits_for(task: Task, thread: &Thread) -> u32 {
    if task::is_on_cpu(task) {
        return ON_CPU;
    }
    match task::state(task) {
        0 => Wait::Woken as u32,
        _ if thread.slice.out_ns.get() != 0 => u32::from(thread.slice.wait.get()),
        state => away::asleep_in(state) as u32,
    }
}

/// Whether the task's user registers are those that its user code has; a task of 32 bits has other frames.
#[inline(always)]
fn has_user_registers(task: Task) -> bool {
    !task::is_on_cpu(task) && !asked::in_compat_call(task)
}

#[inline(never)]
fn write(meta: *const c_void, task: Task, thread: &Thread, (nr, enter_ns): (u32, u64)) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(Buffer::InFlight as u32) else { return 0 };
    // SAFETY: this CPU's buffer, which only this program uses.
    let taken =
        unsafe { bpf_get_task_stack(task, (&raw mut (*scratch).frames).cast(), (FRAMES * 8) as u32, 0) };
    if taken < 0 {
        count(Outcome::KernelStackMissing, 1);
    }
    // SAFETY: any bytes are bytes.
    let comm = unsafe { core::mem::transmute::<[u64; 2], [u8; COMM_BYTES]>(task::comm(task)) };
    let event = InFlightEvent {
        tag: IN_FLIGHT,
        tgid: task::tgid(task),
        tid: task::tid(task),
        nr: if nr == NOT_IN_CALL { nr } else { nr & !BEGAN_BEFORE },
        enter_ns,
        at_least: u32::from(nr & BEGAN_BEFORE != 0),
        frames: if taken < 0 { 0 } else { (taken as u64 / 8) as u32 },
        comm,
        wait: waits_for(task, thread),
        cpu: task::last_cpu(task),
        since_ns: thread.slice.out_ns.get(),
        woken_ns: thread.slice.woken_ns.get(),
        away: u32::from(thread.slice.wait.get()),
        queue: u32::from(thread.slice.queue.get()),
        before_ns: if nr != NOT_IN_CALL && nr & BEGAN_BEFORE != 0 { thread.before_ns.get() } else { 0 },
        user: u64::from(has_user_registers(task)),
    };
    // SAFETY: `meta` is a BTF pointer whose first field is the sequence file; all records are as long as said. Always a
    // whole buffer: a constant size the verifier likes; `frames` says what counts. The registers have the buffer after them; what
    // cannot be read is 0.
    unsafe {
        let (seq, buffer) = (follow(meta, 0), (&raw mut (*scratch).frames));
        bpf_seq_write(seq, (&raw const event).cast(), size_of::<InFlightEvent>() as u32);
        bpf_seq_write(seq, buffer.cast(), (FRAMES * 8) as u32);
        let (saved, length) = (task::registers::of(task) as *const c_void, (REGISTER_WORDS * 8) as u32);
        bpf_probe_read_kernel(buffer.cast(), length, saved);
        bpf_seq_write(seq, buffer.cast(), length);
    }
    0
}
