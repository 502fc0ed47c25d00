//! Reading a task: by plain loads through its BTF pointer, which the kernel guards. Before Linux 5.11 the
//! running task is only an address to the verifier, and everything is copied by helper.
//!
//! In: a task. Out: its fields, at injected offsets.

use core::ffi::c_void;

use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::generated::{
    bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_kernel, bpf_task_pt_regs,
};

use profiler_common::processor::{CALL_NUMBER, REGISTERS_ON_STACK};

use crate::global::{self, offset};

/// A task the verifier knows as one.
pub type Task = *mut task_struct;

/// `PF_KTHREAD` (include/linux/sched.h): the task has no user space.
pub const KERNEL_THREAD: u32 = 0x0020_0000;

/// The running task.
#[inline(always)]
pub fn current() -> Task {
    // SAFETY: the helpers have no preconditions.
    unsafe {
        if global::task_storage() != 0 { bpf_get_current_task_btf() } else { bpf_get_current_task() as Task }
    }
}

/// Where it lies in the kernel: its key where there is no task storage.
#[inline(always)]
pub fn address(task: Task) -> u64 {
    task.addr() as u64
}

/// Loads a field that is one for the verifier on every kernel: of a context, or of what that holds.
///
/// # Safety
/// `base` must be such an object.
#[inline(always)]
pub unsafe fn follow<T: Copy>(base: *const c_void, offset: usize) -> T {
    // SAFETY: by the caller's promise; the verifier checks offset and size.
    unsafe { core::ptr::read_volatile(base.byte_add(offset).cast()) }
}

/// Loads a field of a BTF-typed kernel object.
///
/// # Safety
/// `base` must be a BTF pointer for the verifier; a stale one reads 0 by the kernel's own guard.
#[inline(always)]
pub unsafe fn load<T: Copy>(base: *const c_void, offset: usize) -> T {
    // SAFETY: by the caller's promise; the verifier checks offset and size against BTF, or the helper
    // the address: it zeroes the value on failure.
    unsafe {
        if global::task_storage() != 0 {
            return follow(base, offset);
        }
        let mut value = core::mem::MaybeUninit::<T>::uninit();
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, base.byte_add(offset));
        value.assume_init()
    }
}

/// Process id.
#[inline(always)]
pub fn tgid(task: Task) -> u32 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_tgid)) }
}

/// Thread id.
#[inline(always)]
pub fn tid(task: Task) -> u32 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_pid)) }
}

/// Monotonic start time, ns.
#[inline(always)]
pub fn start_ns(task: Task) -> u64 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_start_time)) }
}

/// Whether it has no user space.
#[inline(always)]
pub fn is_kernel_thread(task: Task) -> bool {
    // SAFETY: `task` is a BTF pointer.
    let flags: u32 = unsafe { load(task.cast(), offset!(task_flags)) };
    flags & KERNEL_THREAD != 0
}

/// Whether it is on a CPU right now.
#[inline(always)]
pub fn is_on_cpu(task: Task) -> bool {
    // Its lowest byte, on little-endian processors the first: since Linux 7.2 it has no more.
    // SAFETY: `task` is a BTF pointer.
    let on_cpu: u8 = unsafe { load(task.cast(), offset!(task_on_cpu)) };
    on_cpu != 0
}

/// Its state, asked while it leaves the CPU: 0 when it stays runnable. All states fit 32 bits, also where the
/// field is a long.
#[inline(always)]
pub fn state(task: Task) -> u32 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_state)) }
}

/// Whether its cgroup's CPU quota keeps it off the CPU: its own mark (Linux 6.18 and later), or its queue's count.
#[inline(always)]
pub fn is_throttled(task: Task) -> bool {
    // SAFETY: `task` is a BTF pointer, and so is its queue's.
    unsafe {
        if offset!(task_throttled) != 0 {
            return load::<u8>(task.cast(), offset!(task_throttled)) != 0;
        }
        if offset!(cfs_rq_throttle_count) == 0 {
            return false;
        }
        let queue: *const c_void = load(task.cast(), offset!(task_cfs_rq));
        load::<u32>(queue, offset!(cfs_rq_throttle_count)) != 0
    }
}

/// How often it left a CPU, by the kernel's own count: up already when `sched_switch` fires.
#[inline(always)]
pub fn switches(task: Task) -> u64 {
    // SAFETY: `task` is a BTF pointer.
    let (voluntary, forced): (u64, u64) =
        unsafe { (load(task.cast(), offset!(task_nvcsw)), load(task.cast(), offset!(task_nivcsw))) };
    voluntary.wrapping_add(forced)
}

/// Whether `ctx`, the context of a program, lies on the task's own stack: interrupts have theirs.
#[inline(always)]
pub fn on_own_stack(task: Task, ctx: *mut c_void) -> bool {
    /// Twice the usual size: `KASAN` doubles it.
    const STACK_BYTES: u64 = 32 << 10;
    let (spilled, mut address) = (ctx, 0u64);
    // SAFETY: `task` is a BTF pointer. The helper turns the context's pointer, on which the verifier allows
    // no arithmetic, into a number.
    unsafe {
        let stack: u64 = load(task.cast(), offset!(task_stack));
        bpf_probe_read_kernel((&raw mut address).cast(), 8, (&raw const spilled).cast());
        address.wrapping_sub(stack) < STACK_BYTES
    }
}

/// The CPU it is on, or was on last.
#[inline(always)]
pub fn last_cpu(task: Task) -> u32 {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_cpu)) }
}

/// Its command name as two words.
#[inline(always)]
pub fn comm(task: Task) -> [u64; 2] {
    let offset = offset!(task_comm);
    let mut name = [0u64; 2];
    // SAFETY: the helper copies 16 bytes and zeroes them on failure.
    unsafe {
        bpf_probe_read_kernel(name.as_mut_ptr().cast(), 16, task.byte_add(offset).cast());
    }
    name
}

/// The leader of its process.
#[inline(always)]
pub fn leader(task: Task) -> Task {
    // SAFETY: `task` is a BTF pointer.
    unsafe { load(task.cast(), offset!(task_group_leader)) }
}

/// The number of the system call that a sleeping task is in; negative outside of one.
#[inline(always)]
pub fn call_number(task: Task) -> i64 {
    // SAFETY: the helper returns the task's saved user registers as a BTF pointer; before it came
    // (5.15) they lie at the end of the stack, whose address `load` checks.
    unsafe {
        if global::task_storage() != 0 {
            return load(bpf_task_pt_regs(task) as *const c_void, CALL_NUMBER);
        }
        let stack: *const c_void = load(task.cast(), offset!(task_stack));
        load(stack, REGISTERS_ON_STACK + CALL_NUMBER)
    }
}
