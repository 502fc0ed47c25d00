//! Stacks of the `lsm` probe: in what context they are taken, and into which buffer.
//!
//! In: a program's context. Out: whether it is an interrupt's; a buffer that no other program on this CPU is using.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_get_current_task;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use profiler_common::lsm::SiteRows;
use profiler_common::processor::STACK_BYTES;

use crate::global::offset;
use crate::stack::buffer::Buffer;
use crate::task::KERNEL_THREAD;
use crate::task::read::read;

/// 1: a program is using the buffer of this level.
#[map]
static LSM_LEVELS: PerCpuArray<u32> = PerCpuArray::with_max_entries(2, 0);

/// Whether the program's context, which lies on the kernel stack in use, is not on the stack of the
/// task: an interrupt's code. Kernel threads run such code on their own stack (ksoftirqd, NAPI).
/// A CPU's stack for interrupts never moves: once found, it is known.
#[inline(always)]
pub fn of_interrupt(ctx: *mut c_void, rows: &mut SiteRows) -> bool {
    // SAFETY: this CPU's own value, by which the pointer becomes a number.
    let address = unsafe {
        (&raw mut rows.context).write_volatile(ctx as u64);
        (&raw const rows.context).read_volatile()
    };
    // A block in which part of a stack for interrupts lies has nothing of a task's.
    let stack = address & !(STACK_BYTES - 1);
    stack == rows.interrupt_stack || is_no_task(rows, address)
}

/// Asks the running task.
#[inline(never)]
fn is_no_task(rows: &mut SiteRows, address: u64) -> bool {
    // SAFETY: the helper has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    let (Some(stack), Some(flags)) =
        (read::<u64>(task + offset!(task_stack) as u64), read::<u32>(task + offset!(task_flags) as u64))
    else {
        return false;
    };
    let elsewhere = address.wrapping_sub(stack) >= STACK_BYTES;
    if elsewhere && flags & KERNEL_THREAD == 0 {
        rows.interrupt_stack = address & !(STACK_BYTES - 1);
    }
    elsewhere || flags & KERNEL_THREAD != 0
}

/// A buffer that is claimed: a program that is interrupted, or preempted, while it takes a stack leaves the first to
/// the one on top of it.
pub struct Level(u32);

impl Level {
    #[inline(always)]
    fn taken(level: u32) -> Option<*mut u32> {
        LSM_LEVELS.get_ptr_mut(level)
    }

    /// The first that is free.
    #[inline(always)]
    pub fn claim() -> Option<Self> {
        for level in 0..2 {
            // SAFETY: this CPU's own value; whoever runs on top of us releases what it claimed before it ends,
            // and leaves what we claimed alone.
            unsafe {
                let taken = Self::taken(level)?;
                if taken.read_volatile() == 0 {
                    taken.write_volatile(1);
                    return Some(Self(level));
                }
            }
        }
        None
    }

    /// Its buffer.
    #[inline(always)]
    pub fn buffer(&self) -> Buffer {
        if self.0 == 0 { Buffer::Lsm } else { Buffer::LsmOnTop }
    }

    /// Gives it back.
    #[inline(always)]
    pub fn release(self) {
        if let Some(taken) = Self::taken(self.0) {
            // SAFETY: as in `claim`.
            unsafe { taken.write_volatile(0) };
        }
    }
}
