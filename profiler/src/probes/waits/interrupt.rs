//! Wakeups by interrupts.
//!
//! In: the kernel stack of a wakeup. Out: whether an interrupt did it. An interrupt of user code runs on the stack of
//! the interrupted thread, so the stack's address does not decide; the frames below its entry belong to that thread.

use crate::profile::{Profile, StackId};
use crate::render::locks;
use crate::render::name::kernel_functions;

/// Beginnings of the functions by which interrupts enter the kernel.
const ENTRIES: [&str; 3] = ["asm_sysvec_", "asm_common_interrupt", "asm_exc_nmi"];
/// Functions in which a thread enables softirqs again, and runs those that are pending.
const LET_IN: &str = "__local_bh_enable_ip";
/// Work of the thread itself on the way back from an interrupt.
const LEAVING: [&str; 3] = ["irqentry_exit", "exit_to_user_mode", "raw_irqentry_exit"];

/// Whether a frame is the entry of an interrupt.
pub fn is_entry(function: &str) -> bool {
    ENTRIES.iter().any(|entry| function.starts_with(entry))
}

/// Whether this stack was taken in an interrupt, and not in what a thread does on its way back from one.
pub fn is_on_top(profile: &Profile, kernel: StackId) -> bool {
    let leaving = |function: &str| LEAVING.iter().any(|leaving| function.starts_with(leaving));
    let functions = kernel_functions(&profile.stacks, kernel).map(locks::base);
    functions.take_while(|function| !leaving(function)).any(is_entry)
}

/// Whether this stack was taken in a softirq that the thread ran itself, when it let softirqs in again.
pub fn is_own_softirq(profile: &Profile, kernel: StackId) -> bool {
    let functions = kernel_functions(&profile.stacks, kernel).map(locks::base);
    functions.take_while(|function| !is_entry(function)).any(|function| function == LET_IN)
}
