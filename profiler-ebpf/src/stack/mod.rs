//! Stacks: taken into a per-CPU buffer, keyed by a strong hash, sent to user space once.
//!
//! In: a context or a task. Out: the stack's id for a row's key.

pub mod buffer;
pub mod copy;
mod known;
pub mod window;

use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use core::ffi::c_void;

use aya_ebpf::bindings::{BPF_F_USER_STACK, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::{bpf_get_stack, bpf_get_task_stack, bpf_ringbuf_output};
use profiler_common::event::STACK;
use profiler_common::outcome::Outcome;
use profiler_common::stack::{FRAMES, KERNEL, NO_STACK, StackHead, USER, finish, mix, seed};

use crate::event::EVENTS;
use crate::global;
use crate::outcome::{busy, count};
use crate::stack::buffer::{Buffer, SCRATCH, Scratch};
use crate::task::Task;

/// Stacks whose frames user space has. A stack that is evicted here is sent again, so nothing is lost.
#[map]
pub static SEEN: LruHashMap<u64, u8> = LruHashMap::with_max_entries(131_072, 0);

/// Bytes of a full stack.
const BYTES: u32 = (FRAMES * 8) as u32;

/// The kernel stack of the running task.
#[inline(always)]
pub fn kernel(ctx: *mut c_void, buffer: Buffer) -> u64 {
    let id = take(buffer, KERNEL, 0, |frames| {
        // SAFETY: `frames` is BYTES long.
        unsafe { bpf_get_stack(ctx, frames, BYTES, 0) }
    });
    count_cut(buffer, id, Outcome::KernelStackTruncated)
}

/// The user stack of the running task. `in_call`: its leaf is also a return address. It is moved back into the call
/// instruction before it, because the next instruction may belong to another function.
#[inline(always)]
pub fn user(ctx: *mut c_void, buffer: Buffer, tgid: u32, in_call: bool) -> u64 {
    count_cut(buffer, list(ctx, buffer, tgid, in_call), Outcome::UserStackTruncated)
}

/// The same, not counted as cut: the thread may be copied, too.
#[inline(always)]
fn list(ctx: *mut c_void, buffer: Buffer, tgid: u32, in_call: bool) -> u64 {
    take(buffer, USER, tgid, |frames| {
        // SAFETY: `frames` is BYTES long.
        unsafe {
            let bytes = bpf_get_stack(ctx, frames, BYTES, u64::from(BPF_F_USER_STACK));
            if in_call && bytes > 0 {
                *frames.cast::<u64>() -= 1;
            }
            bytes
        }
    })
}

/// The kernel stack of a task that is about to run.
#[inline(always)]
pub fn of_task(task: Task, buffer: Buffer) -> u64 {
    let id = take(buffer, KERNEL, 0, |frames| {
        // SAFETY: `frames` is BYTES long and `task` a BTF pointer.
        unsafe { bpf_get_task_stack(task, frames, BYTES, 0) }
    });
    count_cut(buffer, id, Outcome::KernelStackTruncated)
}

/// Counts the stack in a buffer, if it was cut; returns its id.
#[inline(always)]
fn count_cut(buffer: Buffer, id: u64, outcome: Outcome) -> u64 {
    if id != NO_STACK
        && let Some(scratch) = SCRATCH.get_ptr(buffer as u32)
        // SAFETY: the buffer is this CPU's and this program's alone.
        && unsafe { (*scratch).head.frames } >= global::stack_frames()
    {
        count(outcome, 1);
    }
    id
}

#[inline(always)]
fn take(buffer: Buffer, space: u32, tgid: u32, get: impl FnOnce(*mut c_void) -> i64) -> u64 {
    let Some(scratch) = SCRATCH.get_ptr_mut(buffer as u32) else { return NO_STACK };
    // SAFETY: the buffer is this CPU's and this program's alone.
    let bytes = get(unsafe { (&raw mut (*scratch).frames).cast() });
    if bytes <= 0 {
        // No frames is an answer for a sample that hit user code, an error is not.
        if bytes < 0 {
            count(if space == USER { Outcome::UserStackMissing } else { Outcome::KernelStackMissing }, 1);
        }
        return NO_STACK;
    }
    let frames = (bytes as u64 / 8) as u32;
    let id = hash_frames(buffer as u32, frames, seed(tgid, space));
    // SAFETY: as above.
    unsafe { (*scratch).head = StackHead { tag: STACK, tgid, id, space, frames } };
    finish_taking(buffer as u32)
}

/// Hashes the frames in a buffer. A global function: the verifier walks its loop once, not once for
/// every path that leads to it.
#[unsafe(no_mangle)]
#[inline(never)]
fn hash_frames(buffer: u32, frames: u32, seed: u64) -> u64 {
    let Some(scratch) = SCRATCH.get_ptr(buffer) else { return NO_STACK };
    // SAFETY: the buffer is this CPU's and the calling program's alone.
    let scratch = unsafe { &*scratch };
    let mut hash = seed;
    for (index, address) in scratch.frames.iter().enumerate() {
        if index as u32 >= frames {
            break;
        }
        hash = mix(hash, *address);
    }
    finish(hash)
}

/// Counts the stack in a buffer, sends its frames if user space does not have them yet, and returns its id. A global
/// function, as the one above.
#[unsafe(no_mangle)]
#[inline(never)]
fn finish_taking(buffer: u32) -> u64 {
    let Some(scratch) = SCRATCH.get_ptr_mut(buffer) else { return NO_STACK };
    // SAFETY: the buffer is this CPU's and the calling program's alone.
    let scratch = unsafe { &mut *scratch };
    let StackHead { id, space, frames, .. } = scratch.head;
    count(Outcome::Stacks, 1);
    // SAFETY: the value is not read.
    if unsafe { SEEN.get(&id) }.is_none() {
        busy(|| send(scratch, id, space, frames));
    }
    id
}

#[inline(always)]
fn send(scratch: &mut Scratch, id: u64, space: u32, frames: u32) {
    let bytes = size_of::<StackHead>() as u64
        + 8 * u64::from(if frames as usize > FRAMES { FRAMES as u32 } else { frames });
    // A user stack wakes user space: its process may be gone in a millisecond. Forced, because by
    // itself the ring wakes nobody as long as an earlier, silent record has not been read.
    let flags = u64::from(if space == USER { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP });
    // SAFETY: the record lies in the buffer, whose size bounds `bytes`.
    let sent = unsafe {
        bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            core::ptr::from_mut(scratch).cast(),
            bytes,
            flags,
        )
    };
    if sent == 0 {
        // A failed insert only means that the frames are sent again.
        let _ = SEEN.insert(&id, &1, 0);
    } else {
        count(Outcome::StackDeferred, 1);
    }
}
