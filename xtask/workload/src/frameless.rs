//! In: how much CPU time to burn, how many sleeps to make. Out: one known user stack, through code that uses the frame
//! pointer for something else: only its unwind tables tell its callers.

use std::{arch::global_asm, hint::black_box};

use crate::{
    report::Report,
    system::{self, cpu_time},
    unit,
};

/// What is done at the leaf.
#[repr(C)]
struct Work {
    burn_ns: u64,
    sleeps: u64,
    sleep_ns: u64,
    burned_ns: u64,
}

// Two functions that clear the frame pointer before they call, as code does that is built without frame pointers.
global_asm!(
    ".macro frameless name, callee",
    ".globl \\name",
    ".type \\name,@function",
    "\\name:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_rel_offset rbp, 0",
    "push rbx",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_rel_offset rbx, 0",
    "sub rsp, 2056",
    ".cfi_adjust_cfa_offset 2056",
    "mov ebp, 1",
    "mov ebx, 2",
    "call \\callee",
    "add rsp, 2056",
    ".cfi_adjust_cfa_offset -2056",
    "pop rbx",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_restore rbx",
    "pop rbp",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_restore rbp",
    "ret",
    ".cfi_endproc",
    ".size \\name, .-\\name",
    ".endm",
    "frameless frameless_outer, {middle}",
    "frameless frameless_inner, {leaf}",
    ".purgem frameless",
    middle = sym frameless_middle,
    leaf = sym frameless_leaf,
);

unsafe extern "C" {
    fn frameless_outer(work: *mut Work);
    fn frameless_inner(work: *mut Work);
}

extern "C" fn frameless_middle(work: *mut Work) {
    // SAFETY: the function passes its argument on, and keeps the registers that it must.
    unsafe { frameless_inner(work) };
    black_box(work);
}

extern "C" fn frameless_leaf(work: *mut Work) {
    // SAFETY: the caller at the other end has lent it for the call.
    let work = unsafe { &mut *work };
    work.burned_ns = frameless_burn(work.burn_ns);
    for _ in 0..work.sleeps {
        frameless_sleep(work.sleep_ns);
    }
}

#[inline(never)]
fn frameless_burn(nanoseconds: u64) -> u64 {
    let (begin, steps) = (cpu_time(), unit::scaled(20_000));
    while cpu_time() - begin < nanoseconds {
        for step in 0..steps {
            black_box(step.wrapping_mul(31));
        }
    }
    cpu_time() - begin
}

#[inline(never)]
fn frameless_sleep(nanoseconds: u64) {
    black_box(system::nanosleep(nanoseconds));
}

/// CPU time of `ms`, then `sleeps` sleeps of `sleep_ms`, all below the same callers.
pub fn frameless(ms: u64, sleeps: u64, sleep_ms: u64) -> Report {
    let mut work = Work { burn_ns: ms * 1_000_000, sleeps, sleep_ns: sleep_ms * 1_000_000, burned_ns: 0 };
    // SAFETY: the work outlives the call.
    unsafe { frameless_outer(&raw mut work) };
    Report::new().with("burned_ns", work.burned_ns).with("sleeps", sleeps)
}
