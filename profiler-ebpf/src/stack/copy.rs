//! Copies of user stacks, for user space to unwind by tables.
//!
//! In: the running task's user registers. Out: a record of registers and the top of the stack in the ring of copies, and its
//! id for a row's key. Where nothing is copied, the id of the kernel's own walk stays.

use core::ffi::c_void;

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{
    bpf_get_smp_processor_id, bpf_probe_read_kernel, bpf_ringbuf_output, bpf_ringbuf_query,
};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, RingBuf};
use profiler_common::copy::{CopyHead, IN_CALL, STACK_BYTES};
use profiler_common::outcome::Outcome;
use profiler_common::processor::{CODE_SEGMENT, REGISTER_WORDS, STACK_POINTER, USER_CODE};
use profiler_common::stack::{NO_STACK, USER, finish, mix, seed};

use crate::allowance::{self, allows_in};
use crate::clock::now_ns;
use crate::global;
use crate::outcome::{busy, count};
use crate::stack::buffer::Buffer as StackBuffer;
use crate::stack::known::known_stack;
use crate::stack::{self, window};
use crate::task::read::follow;
use crate::task::registers;

/// Copies on their way.
#[map]
static COPIES: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// Two buffers for each CPU. Not a per-CPU map: that would take memory for every possible CPU.
#[map]
static COPY_BUFFERS: Array<Buffer> = Array::with_max_entries(2, 0);

/// A copy in the making.
#[repr(C)]
struct Buffer {
    head: CopyHead,
    stack: window::Bytes,
}

/// The buffer of `sys_exit`, which a sample may interrupt.
const CALL: u32 = 0;
/// The buffer of the sample.
const SAMPLE: u32 = 1;

/// The user stack of the running task, which a sample hit; as [`stack::user`].
#[inline(always)]
pub fn of_sample(ctx: *mut c_void, which: StackBuffer, tgid: u32, in_call: bool) -> u64 {
    let list = stack::list(ctx, which, tgid, in_call);
    settle(which, list, if copies(list) { copy_sample(ctx, list, in_call) } else { list })
}

/// The user stack of the running task, at the end of a call; as [`stack::user`].
#[inline(always)]
pub fn of_call(ctx: *mut c_void, which: StackBuffer, tgid: u32, in_call: bool) -> u64 {
    let list = stack::list(ctx, which, tgid, in_call);
    settle(which, list, if copies(list) { of_task(CALL, list, u32::from(in_call)) } else { list })
}

#[inline(always)]
fn copies(list: u64) -> bool {
    global::copy_bytes() != 0 && list != NO_STACK
}

/// Where nothing was copied, the walk that the kernel cut is what there is.
#[inline(always)]
fn settle(which: StackBuffer, list: u64, id: u64) -> u64 {
    if id == list { stack::count_cut(which, list, Outcome::UserStackTruncated) } else { id }
}

#[inline(always)]
fn copy_sample(ctx: *mut c_void, list: u64, in_call: bool) -> u64 {
    // SAFETY: the context begins with the registers (`struct bpf_perf_event_data`).
    let in_user = unsafe { follow::<u64>(ctx, 8 * CODE_SEGMENT) } & 3 == 3;
    if !in_user {
        return of_task(SAMPLE, list, u32::from(in_call));
    }
    let Some(buffer) = buffer(SAMPLE) else { return without_room(list) };
    // The verifier wants a constant offset in each load.
    macro_rules! load {
        ($($word:literal)*) => {
            // SAFETY: as above; the buffer is this CPU's and this program's alone.
            unsafe { $((*buffer).head.registers[$word] = follow(ctx, 8 * $word);)* }
        };
    }
    load!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20);
    copy_stack(SAMPLE, list, u32::from(in_call))
}

/// A task in the kernel has left its user registers on its kernel stack.
#[inline(always)]
fn of_task(kind: u32, list: u64, in_call: u32) -> u64 {
    let Some(buffer) = buffer(kind) else { return without_room(list) };
    // SAFETY: the buffer is this CPU's and this program's alone, and holds as many words.
    let failed = unsafe {
        bpf_probe_read_kernel(
            (&raw mut (*buffer).head.registers).cast(),
            (8 * REGISTER_WORDS) as u32,
            registers::of_current() as *const c_void,
        )
    };
    if failed != 0 {
        count(Outcome::StackCopyUnreadable, 1);
        return list;
    }
    copy_stack(kind, list, in_call)
}

#[inline(always)]
fn buffer(kind: u32) -> Option<*mut Buffer> {
    // SAFETY: the helper has no preconditions.
    COPY_BUFFERS.get_ptr_mut(2 * unsafe { bpf_get_smp_processor_id() } + kind)
}

#[inline(always)]
fn without_room(list: u64) -> u64 {
    count(Outcome::StackCopyNoRoom, 1);
    list
}

/// Copies the stack that the registers in a buffer point to, and sends it. A global function: the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
fn copy_stack(kind: u32, list: u64, in_call: u32) -> u64 {
    let Some(buffer) = buffer(kind) else { return without_room(list) };
    // SAFETY: the buffer is this CPU's and the calling program's alone.
    let buffer = unsafe { &mut *buffer };
    let code = buffer.head.registers[CODE_SEGMENT];
    if code != USER_CODE {
        // A worker of io_uring has no user code at all.
        count(Outcome::StackCopyNarrow, u64::from(code != 0));
        return list;
    }
    let sp = buffer.head.registers[STACK_POINTER / 8];
    let known = known_stack(list, sp);
    if known != 0 {
        count(Outcome::StackKnown, 1);
        return known;
    }
    let now = now_ns();
    // A fifteenth of a second: a storm shall not take a second's copies in its first moment.
    let period = now >> 26;
    let allowed = if kind == SAMPLE {
        allows_in(allowance::SAMPLE_COPIES, period, global::copies_each_period())
    } else {
        allows_in(allowance::CALL_COPIES, period, global::copies_each_period())
    };
    if !allowed {
        count(Outcome::StackCopyOverRate, 1);
        return list;
    }
    let ids = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((ids >> 32) as u32, ids as u32);
    let bytes = window::read(&mut buffer.stack, &mut buffer.head.bytes, sp, window::wanted(tid, sp));
    if bytes == 0 {
        count(Outcome::StackCopyUnreadable, 1);
        return list;
    }
    // SAFETY: the helper has no preconditions.
    let place = 2 * unsafe { bpf_get_smp_processor_id() } + kind;
    let id = finish(mix(mix(seed(tgid, USER), now), u64::from(place)));
    let head = &mut buffer.head;
    (head.tgid, head.tid, head.bytes) = (tgid, tid, bytes);
    (head.id, head.list, head.time_ns) = (id, list, now);
    head.flags = if in_call != 0 { IN_CALL } else { 0 };
    if !send(buffer, bytes, kind) {
        return without_room(list);
    }
    count(Outcome::StackCopied, 1);
    id
}

#[inline(always)]
fn send(buffer: &mut Buffer, bytes: u32, kind: u32) -> bool {
    let length = size_of::<CopyHead>() as u64 + u64::from(bytes & STACK_BYTES);
    let ring = (&raw const COPIES).cast_mut().cast();
    // User space looks several times a second, and is woken when there is much.
    // SAFETY: the record lies in the buffer, whose size bounds its length.
    unsafe {
        let waiting = bpf_ringbuf_query(ring, u64::from(BPF_RB_AVAIL_DATA));
        // Calls may come in floods: samples always find room.
        if kind == CALL && waiting > 2 * global::copies_wake_bytes() {
            return false;
        }
        let wakes = waiting > global::copies_wake_bytes();
        let flags = if wakes { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
        busy(|| bpf_ringbuf_output(ring, core::ptr::from_mut(buffer).cast(), length, u64::from(flags))) == 0
    }
}
