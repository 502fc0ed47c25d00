//! Which call a thread asked for: the same number means a different call in each of the processor's tables.
//!
//! In: the number it asked for, its status. Out: the call's short number (see `profiler_common::abi`).

use aya_ebpf::helpers::generated::bpf_get_current_task_btf;
use profiler_common::abi::{COMPAT_STATUS, I386, PLACE, short};
use profiler_common::processor::CALL_NUMBER;

use crate::global::{self, offset};
use crate::task::read::{follow, load, read};
use crate::task::{Task, registers};

/// What the running thread asks for, at the cost of one load. Before Linux 5.11 that takes another helper: there only the
/// first call of a time slice is asked, and see [`holds_for_slice`].
#[inline(always)]
pub fn next(number: u64) -> u32 {
    let at = global::status_of_current() as usize;
    // SAFETY: where there is such an offset, the helper returns the running task as a BTF pointer.
    let compat = at != 0 && is_compat(unsafe { follow(bpf_get_current_task_btf().cast(), at) });
    told(number as u32, compat)
}

/// The same of the first call of a time slice.
#[inline(always)]
pub fn first(task: Task, number: u64) -> u32 {
    told(number as u32, in_compat_call(task))
}

#[inline(always)]
fn told(number: u32, compat: bool) -> u32 {
    if !compat && number < PLACE { number } else { of_other_table(number, u32::from(compat)) }
}

/// A function of its own: nearly nobody pays for it.
#[inline(never)]
fn of_other_table(number: u32, compat: u32) -> u32 {
    short(number, compat != 0)
}

/// Whether the calls that follow in this time slice can be told without asking which table they are of.
#[inline(always)]
pub fn holds_for_slice(nr: u32) -> bool {
    global::status_of_current() != 0 || nr & I386 == 0
}

/// The call that a task in the kernel is in; none outside of one, and where its registers are gone.
#[inline(always)]
pub fn of(task: Task) -> Option<u32> {
    let number: i64 = read(registers::of(task) + CALL_NUMBER as u64)?;
    if number >= 0 { Some(short(number as u32, in_compat_call(task))) } else { None }
}

/// Whether the call that it is in is of the i386 table.
#[inline(always)]
pub fn in_compat_call(task: Task) -> bool {
    if offset!(task_status) == 0 {
        return false;
    }
    // SAFETY: `task` is a BTF pointer.
    is_compat(unsafe { load(task.cast(), offset!(task_status)) })
}

#[inline(always)]
fn is_compat(status: u32) -> bool {
    status & COMPAT_STATUS != 0
}
