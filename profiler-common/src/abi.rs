//! The system call tables of x86-64: its own, x32's, and that of 32-bit programs (i386), which `int 0x80` reaches from any
//! program. The same number means a different call in each table.
//!
//! In: a number as a thread asked for it, and whether by the i386 table. Out: 12 bits that are unique among the tables, for
//! the kernel side's rows; the wide number that captures hold; the calls that need special treatment on the kernel side.

use crate::processor::{CLONE, CLONE3, FORK, VFORK};
use crate::processor::{EXECVE, EXECVEAT, EXIT, EXIT_GROUP, RESTART_SYSCALL, RT_SIGRETURN};

/// `TS_COMPAT` (arch/x86/include/asm/thread_info.h), in `thread_info.status`: the thread is in a call of the i386 table.
pub const COMPAT_STATUS: u32 = 2;
/// `__X32_SYSCALL_BIT`, in the number that a thread asks for.
pub const X32_BIT: u32 = 1 << 30;
/// In a wide number: of the i386 table.
pub const I386_BIT: u32 = 1 << 31;

/// In a short number: of x32.
pub const X32: u32 = 1 << 10;
/// In a short number: of the i386 table.
pub const I386: u32 = 1 << 11;
/// In a wide number: the call began before the recording. Its times count from the start of the recording.
pub const BEGAN_BEFORE_BIT: u32 = 1 << 29;
/// In a short number: the same.
pub const BEGAN_BEFORE: u32 = 1 << 12;
/// In a short number: the place in its table; all set: no table has that place.
pub const PLACE: u32 = X32 - 1;

/// The short number of what a thread asked for.
#[inline(always)]
pub const fn short(asked: u32, compat: bool) -> u32 {
    let (table, place) = match asked {
        _ if compat => (I386, asked),
        // Negative numbers have that bit, too.
        _ if asked & X32_BIT != 0 && asked <= i32::MAX as u32 => (X32, asked & !X32_BIT),
        _ => (0, asked),
    };
    table | if place < PLACE { place } else { PLACE }
}

/// The wide number of a short one: the table's bits where the kernel has them, at the top.
#[inline(always)]
pub const fn wide(short: u32) -> u32 {
    let table = if short & I386 != 0 {
        I386_BIT
    } else if short & X32 != 0 {
        X32_BIT
    } else {
        0
    };
    let before = if short & BEGAN_BEFORE != 0 { BEGAN_BEFORE_BIT } else { 0 };
    table | before | short & PLACE
}

/// The short number of a wide one.
#[inline(always)]
pub const fn narrow(wide: u32) -> u32 {
    let before = if wide & BEGAN_BEFORE_BIT != 0 { BEGAN_BEFORE } else { 0 };
    short(wide & !(I386_BIT | BEGAN_BEFORE_BIT), wide & I386_BIT != 0) | before
}

/// Whether a wide number says that the call began before the recording. Captures of before there were tables hold any number.
#[inline(always)]
pub const fn began_before(wide: u32) -> bool {
    wide & BEGAN_BEFORE_BIT != 0 && wide & !(BEGAN_BEFORE_BIT | I386_BIT | X32_BIT) <= PLACE
}

/// Ends a signal handler: what it "returns" is what the interrupted code has in its register.
#[inline(always)]
pub const fn is_sigreturn(short: u32) -> bool {
    // Of i386: sigreturn, rt_sigreturn.
    matches!(short, RT_SIGRETURN | OF_X32_RT_SIGRETURN) || short == I386 | 119 || short == I386 | 173
}

/// Becomes another program.
#[inline(always)]
pub const fn is_exec(short: u32) -> bool {
    matches!(short, EXECVE | EXECVEAT | OF_X32_EXECVE | OF_X32_EXECVEAT)
        || short == I386 | 11
        || short == I386 | 358
}

/// Ends the thread or its process.
#[inline(always)]
pub const fn is_exit(short: u32) -> bool {
    short == I386 | 1 || short == I386 | 252 || matches!(short & !X32, EXIT | EXIT_GROUP)
}

/// Goes on with an interrupted call.
#[inline(always)]
pub const fn is_restart(short: u32) -> bool {
    short == I386 || short & !X32 == RESTART_SYSCALL
}

/// Makes a thread or process.
#[inline(always)]
pub const fn is_clone(short: u32) -> bool {
    matches!(short & !X32, CLONE | FORK | VFORK | CLONE3)
        || short == I386 | 2
        || short == I386 | 120
        || short == I386 | 190
        || short == I386 | 435
}

const OF_X32_RT_SIGRETURN: u32 = X32 | 513;
const OF_X32_EXECVE: u32 = X32 | 520;
const OF_X32_EXECVEAT: u32 = X32 | 545;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_another_call_in_each_table() {
        assert_eq!(
            (short(162, false), short(162, true), short(X32_BIT | 162, false)),
            (162, I386 | 162, X32 | 162)
        );
        assert_eq!(short(X32_BIT | 513, false), X32 | 513);
        assert_eq!(short(0, true), I386);
    }

    #[test]
    fn numbers_that_no_table_has_are_no_other_calls() {
        for asked in [PLACE, X32, I386, 65_536, 70_000, i32::MAX as u32 - 1, u32::MAX, u32::MAX - 1] {
            assert!(short(asked, false) & PLACE == PLACE, "{asked}");
            assert_eq!(short(asked, true), I386 | PLACE, "{asked}");
        }
        assert_eq!(short(u32::MAX, false), PLACE, "-1 is not of x32");
        assert_eq!(short(X32_BIT | 4096, false), X32 | PLACE);
    }

    #[test]
    fn wide_numbers_come_back_and_native_ones_are_as_they_were() {
        for number in (0..X32 | I386).filter(|number| number & (X32 | I386) != X32 | I386) {
            assert_eq!(narrow(wide(number)), number);
            assert_eq!(narrow(wide(number | BEGAN_BEFORE)), number | BEGAN_BEFORE);
        }
        assert_eq!((wide(35), wide(X32 | 35), wide(I386 | 162)), (35, X32_BIT | 35, I386_BIT | 162));
    }

    #[test]
    fn a_short_number_fits_a_wait_and_is_never_none() {
        use crate::wait::{NO_CALL, pack, unpack};
        for number in [short(u32::MAX, true), short(u32::MAX, false), short(X32_BIT | 9999, false)] {
            assert!(number < u32::from(NO_CALL));
            assert_eq!(unpack(pack(3, number)), (3, number as u16));
            let before = number | BEGAN_BEFORE;
            assert_eq!(unpack(pack(6, before)), (6, before as u16));
        }
    }

    #[test]
    fn what_is_treated_apart_is_so_in_every_table() {
        assert!(
            is_sigreturn(15)
                && is_sigreturn(I386 | 119)
                && is_sigreturn(I386 | 173)
                && is_sigreturn(X32 | 513)
        );
        assert!(!is_sigreturn(I386 | 15) && !is_sigreturn(119) && !is_sigreturn(X32 | 15));
        assert!(
            is_exit(60) && is_exit(X32 | 231) && is_exit(I386 | 252) && !is_exit(I386 | 60) && !is_exit(1)
        );
        assert!(is_restart(219) && is_restart(I386) && !is_restart(0) && !is_restart(I386 | 219));
        assert!(is_clone(56) && is_clone(X32 | 435) && is_clone(I386 | 120) && !is_clone(I386 | 56));
        assert!(
            is_exec(59) && is_exec(X32 | 520) && is_exec(I386 | 11) && !is_exec(X32 | 59) && !is_exec(11)
        );
    }
}
