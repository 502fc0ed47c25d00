//! Stacks of the `lsm` probe: whose they are, and where they are put.
//!
//! In: a program's context. Out: whether it is an interrupt's; a buffer that nobody else on this CPU is at work on.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_probe_read_kernel};
use profiler_common::lsm::SiteRows;

use crate::global::offset;
use crate::maps::LSM_LEVELS;
use crate::stack::Buffer;
use crate::task::KERNEL_THREAD;

/// Bytes of a task's kernel stack on x86-64, which lies at a multiple of them: a block in which part of a stack for
/// interrupts lies has nothing of a task's.
const STACK_BYTES: u64 = 16 << 10;

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
    let stack = address & !(STACK_BYTES - 1);
    stack == rows.interrupt_stack || is_no_task(rows, address)
}

/// Asks the running task.
#[inline(never)]
fn is_no_task(rows: &mut SiteRows, address: u64) -> bool {
    let (mut stack, mut flags) = (0u64, 0u32);
    // SAFETY: the helper checks addresses.
    unsafe {
        let task = bpf_get_current_task();
        read(&mut stack, task + offset!(task_stack) as u64);
        read(&mut flags, task + offset!(task_flags) as u64);
    }
    let elsewhere = stack != 0 && address.wrapping_sub(stack) >= STACK_BYTES;
    if elsewhere && flags & KERNEL_THREAD == 0 {
        rows.interrupt_stack = address & !(STACK_BYTES - 1);
    }
    stack != 0 && (elsewhere || flags & KERNEL_THREAD != 0)
}

/// # Safety
/// Any address may be given, the helper refuses bad ones.
#[inline(always)]
unsafe fn read<T>(into: &mut T, address: u64) {
    // SAFETY: `into` has the size that is asked for.
    unsafe {
        bpf_probe_read_kernel(
            core::ptr::from_mut(into).cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        );
    }
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
