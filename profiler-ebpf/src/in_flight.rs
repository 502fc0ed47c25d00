//! Calls in flight. Hook: the task iterator, run by user space at attach and at the end.
//!
//! At attach (first run): seeds the state of threads that already sleep in a call. At the end:
//! writes every thread that is inside a call, with its age and kernel stack.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_get_task_stack, bpf_seq_write};
use profiler_common::COMM_BYTES;
use profiler_common::event::{IN_FLIGHT, InFlightEvent};
use profiler_common::stack::FRAMES;

use crate::clock::now_ns;
use crate::maps::SCRATCH;
use crate::stack::Buffer;
use crate::state::{Interrupted, flag};
use crate::task::{self, Task, follow};
use crate::{global, target, thread};

/// One task of the iteration; the last visit has none.
#[inline(always)]
pub fn visit(ctx: *mut c_void) {
    // SAFETY: `struct bpf_iter__task { meta, task }` (kernel/bpf/task_iter.c).
    let (meta, task): (*const c_void, Task) = unsafe { (follow(ctx, 0), follow(ctx, 8)) };
    if task.is_null() || task::is_kernel_thread(task) || !target::admits(task) {
        return;
    }
    match thread::get(task) {
        Some(thread) if thread.flags & flag::IN_CALL != 0 => {
            write(meta, task, &Call { nr: thread.nr, enter_ns: thread.enter_ns, flags: thread.flags });
        }
        // Stopped or frozen inside a call, or in a signal's handler: the call is not over.
        Some(thread) if thread.flags & flag::INTERRUPTED != 0 => {
            let Interrupted { nr, enter_ns, .. } = thread.interrupted;
            write(meta, task, &Call { nr, enter_ns, flags: thread.flags });
        }
        Some(thread) if thread.flags & flag::KNOWN != 0 => {}
        _ => seed(task),
    }
}

/// A thread never seen: if it sleeps inside a call, that call began before attach.
#[inline(always)]
fn seed(task: Task) {
    let sleeps = !task::is_on_cpu(task) && task::start_ns(task) < global::attach_ns();
    let nr = if sleeps { task::call_number(task) } else { -1 };
    if nr < 0 && !global::follows_all() {
        return;
    }
    let Some(thread) = thread::get_or_create(task) else { return };
    if nr >= 0 {
        thread.nr = nr as u32;
        thread.enter_ns = now_ns();
        thread.slice.early = 1;
        thread.flags = flag::KNOWN | flag::IN_CALL | flag::SEEDED;
    }
}

/// The call a thread is in.
struct Call {
    nr: u32,
    enter_ns: u64,
    flags: u32,
}

#[inline(never)]
fn write(meta: *const c_void, task: Task, call: &Call) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(Buffer::InFlight as u32) else { return 0 };
    // SAFETY: this CPU's buffer, which only this program uses; `meta` is a BTF pointer whose
    // first field is the sequence file.
    unsafe {
        let bytes = bpf_get_task_stack(task, (*scratch).frames.as_mut_ptr().cast(), (FRAMES * 8) as u32, 0);
        let frames = if bytes < 0 { 0 } else { (bytes as u64 / 8) as u32 };
        let words = task::comm(task);
        let event = InFlightEvent {
            tag: IN_FLIGHT,
            tgid: task::tgid(task),
            tid: task::tid(task),
            nr: call.nr,
            enter_ns: call.enter_ns,
            at_least: u32::from(call.flags & flag::SEEDED != 0),
            frames,
            comm: core::mem::transmute::<[u64; 2], [u8; COMM_BYTES]>(words),
        };
        let seq = follow(meta, 0);
        bpf_seq_write(seq, (&raw const event).cast(), size_of::<InFlightEvent>() as u32);
        // Always a whole buffer: a constant size the verifier likes; `frames` says what counts.
        bpf_seq_write(seq, (*scratch).frames.as_ptr().cast(), (FRAMES * 8) as u32);
    }
    0
}
