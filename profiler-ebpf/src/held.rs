//! Work during which the running thread keeps its CPU.
//!
//! In: what a program does with what this CPU alone writes. Out: the same, not interrupted by a switch. From Linux 7.0 on the kernel
//! lets the programs of a system call be preempted: without this, one that goes on after a switch would write another thread's
//! call. On older kernels, which hold the CPU themselves, it is no instruction at all.

use profiler_common::kernel_function::{HOLD_CPU, RELEASE_CPU};

/// Does that without a switch in between.
#[inline(always)]
pub fn held(work: impl FnOnce()) {
    call::<HOLD_CPU>();
    work();
    call::<RELEASE_CPU>();
}

/// Calls the kernel's function that has this mark.
#[inline(always)]
fn call<const MARK: i32>() {
    // SAFETY: the loader replaces the mark, by a function without arguments or by nothing.
    unsafe { core::mem::transmute::<usize, unsafe extern "C" fn()>(MARK as usize)() }
}
