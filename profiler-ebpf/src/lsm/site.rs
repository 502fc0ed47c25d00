//! What the loader writes into the programs of a site, as constants in the code. A global, even a read-only one, would
//! cost two instructions at each use.
//!
//! In: marks that user space finds and replaces before each load. Out: the site's own numbers.

use core::arch::asm;

use profiler_common::lsm::{
    BEGIN_MARK, CALL_MARK, FILTER_MARK, INTERRUPT_MARK, ROWS_MARK, SITE_MARK, SPECIAL_MARK, UNGUARDED_MARK,
};

/// A constant whose value the compiler does not know. Loading it again costs as much as copying it.
macro_rules! marked {
    ($mark:expr, $form:literal) => {{
        let word: u64;
        // SAFETY: moves a constant into a register.
        unsafe { asm!($form, word = out(reg) word, mark = const $mark, options(nomem, nostack)) };
        word
    }};
}

/// The site's number.
#[inline(always)]
pub fn number() -> u16 {
    marked!(SITE_MARK, "{word} = {mark}") as u16
}

/// The key of its rows in the first epoch; the other epoch's is the next one.
#[inline(always)]
pub fn rows() -> u32 {
    marked!(ROWS_MARK, "{word} = {mark}") as u32
}

/// Its number in the bits that the time since a function began leaves free.
#[inline(always)]
pub fn begin_tag() -> u64 {
    marked!(BEGIN_MARK, "{word} = {mark} ll")
}

/// Whether the program must do more than take the time: one of the cases below.
#[inline(always)]
pub fn is_special() -> bool {
    marked!(SPECIAL_MARK, "{word} = {mark}") != 0
}

/// Whether its function also runs in interrupts.
#[inline(always)]
pub fn in_interrupts() -> bool {
    marked!(INTERRUPT_MARK, "{word} = {mark}") != 0
}

/// Whether the target is not the whole machine.
#[inline(always)]
pub fn is_filtered() -> bool {
    marked!(FILTER_MARK, "{word} = {mark}") != 0
}

/// Whether the system call that it runs in is wanted.
#[inline(always)]
pub fn in_calls() -> bool {
    marked!(CALL_MARK, "{word} = {mark}") != 0
}

/// Whether the program may run on top of itself.
#[inline(always)]
pub fn is_unguarded() -> bool {
    marked!(UNGUARDED_MARK, "{word} = {mark}") != 0
}

/// Marks a cold path: the compiler moves it behind the hot code.
#[cold]
#[inline]
pub fn cold() {}

/// The same number, in a register of its own: what is compared is then also what is used, as the verifier wants it, and
/// what is known here is not worked out anew further on. No instruction.
#[inline(always)]
pub fn opaque(mut word: u64) -> u64 {
    // SAFETY: does nothing.
    unsafe { asm!("/* {0} */", inout(reg) word, options(nomem, nostack)) };
    word
}
