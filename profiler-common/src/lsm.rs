//! The `lsm` probe's records.
//!
//! In: functions of the kernel's security layer that returned. Out: rows per (process, site, call), and
//! stacks that carry the time since the stack before. A site is one traced function: a hook
//! (`security_socket_sendmsg`) or a module's own function below it.

use crate::histogram::SLOTS;
use crate::syscall::{LatencyRow, NO_CALL};

/// Sites a session can have.
pub const SITES: usize = 512;

// User space replaces these marks in the code of the programs before it loads them for a site. The verifier then knows each
// as a constant, and no kernel needs to tell a program where it is attached.

/// Becomes the site's number.
pub const SITE_MARK: i32 = 0x4c53_4d5f;
/// Becomes twice that number: the place of the site's rows.
pub const ROWS_MARK: i32 = 0x4c53_4d60;
/// Becomes the site's [`begin_tag`].
pub const BEGIN_MARK: i64 = 0x4c53_4d61_4c53_4d62;
/// Becomes 1 if the function also runs in interrupts: then the program looks at its context.
pub const INTERRUPT_MARK: i32 = 0x4c53_4d63;
/// Becomes 1 if the target is not the whole machine.
pub const FILTER_MARK: i32 = 0x4c53_4d64;
/// Becomes 1 if system calls are rows: then the program finds out which call it runs in.
pub const CALL_MARK: i32 = 0x4c53_4d65;
/// Becomes 1 if the kernel does not keep a program from running on top of itself.
pub const UNGUARDED_MARK: i32 = 0x4c53_4d66;
/// Becomes 1 if one of [`INTERRUPT_MARK`], [`CALL_MARK`] and [`UNGUARDED_MARK`] becomes 1.
pub const SPECIAL_MARK: i32 = 0x4c53_4d67;

/// A site's number, in the bits above any time that a function may take (half a year).
pub const fn begin_tag(site: u16) -> u64 {
    (site as u64) << TAG_SHIFT
}

const TAG_SHIFT: u32 = 54;

/// The begin of a function: the clock plus the site's tag. The difference of two begins of one site is the time between
/// them. The difference of begins of two sites is never below [`SHORT_NS`].
#[inline(always)]
pub const fn begin_of(now: u64, tag: u64) -> u64 {
    now.wrapping_add(tag)
}

/// A difference of two begins below this is a time.
pub const SHORT_NS: u64 = (1 << 31) - 1;

/// The time between two begins, by their difference; none if they are of different sites. A difference that is a little
/// below 0 is no time at all: clocks of two CPUs may differ.
#[inline(always)]
pub const fn lasted(difference: u64) -> Option<u64> {
    if difference >> TAG_SHIFT == 0 {
        return Some(difference);
    }
    if difference.wrapping_neg() < SHORT_NS { Some(0) } else { None }
}

/// Hook time that a stack stands for, ns: a row's time since its last stack must reach this.
pub const STACK_EVERY_NS: u64 = 1_000_000;

/// Key of a row.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LsmKey {
    /// Process; 0 for interrupts.
    pub tgid: u32,
    /// System call it happened in; [`NO_NR`] if there is none or it is unknown.
    pub nr: u16,
    /// Position in the session's list of sites.
    pub site: u16,
    /// Octave of the time, see [`crate::histogram`].
    pub octave: u32,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
}
crate::shared_record!(LsmKey, 16);

/// No system call.
pub const NO_NR: u16 = 0xfff;

/// The call number as a key holds it.
#[inline(always)]
pub const fn short_nr(nr: u32) -> u16 {
    if nr == NO_CALL || nr >= NO_NR as u32 { NO_NR } else { nr as u16 }
}

/// Rows a CPU keeps at hand per epoch and site.
pub const CACHED_ROWS: usize = 8;

/// A row at hand.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CachedRow {
    /// Which row: see [`tag`]; 0 = free.
    pub tag: u64,
    /// Its sum at which the next stack is due, ns.
    pub stack_at_ns: u64,
    /// Its counts.
    pub row: LatencyRow,
}
crate::shared_record!(CachedRow, 64);

/// The rows one CPU has at hand in one epoch of one site.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SiteRows {
    /// Scratch space in which a context's address becomes a number.
    pub context: u64,
    /// Where this CPU's stack for interrupts is, once it is known.
    pub interrupt_stack: u64,
    /// 1: a program is using them; only where the kernel lets a program run on top of itself.
    pub taken: u64,
    /// Explicit padding.
    pub pad: [u64; 5],
    /// By [`place`].
    pub rows: [CachedRow; CACHED_ROWS],
}
crate::shared_record!(SiteRows, 64 + 64 * CACHED_ROWS);

/// The process and call in a [`tag`]; never 0.
#[inline(always)]
pub const fn whose(tgid: u32, nr: u16) -> u64 {
    (tgid as u64) << 32 | (1 << 31 | (nr as u32) << 9) as u64
}

/// Packs what tells a site's row apart on one CPU in one epoch. `bucket` as in [`crate::histogram::bucket`]: its slot is
/// left out.
#[inline(always)]
pub const fn tag(whose: u64, bucket: u32) -> u64 {
    whose | (bucket & OCTAVE_BITS) as u64
}

const OCTAVE_BITS: u32 = 0x3f * SLOTS as u32;

/// The only place at hand where the row of a tag may be.
#[inline(always)]
pub const fn place(tag: u64) -> usize {
    // A factor of 31 bits is part of an instruction.
    (tag.wrapping_mul(0x61c8_8647) >> 34) as usize & (CACHED_ROWS - 1)
}

impl LsmKey {
    /// The key behind a tag.
    #[inline(always)]
    pub const fn of(tag: u64, site: u16, writer: u32) -> Self {
        let (nr, octave) = ((tag >> 9) as u16 & 0xfff, (tag as u32 & OCTAVE_BITS) / SLOTS as u32);
        Self { tgid: (tag >> 32) as u32, nr, site, octave, writer }
    }
}

/// Key of a row of stacks.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LsmStackKey {
    /// Process; 0 for interrupts.
    pub tgid: u32,
    /// Site.
    pub site: u16,
    /// System call.
    pub nr: u16,
    /// Kernel stack at the function's return.
    pub kernel: u64,
    /// User stack.
    pub user: u64,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
    /// Explicit padding.
    pub pad: u32,
}
crate::shared_record!(LsmStackKey, 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_keeps_its_parts() {
        let octaves = u32::from(crate::histogram::OCTAVES);
        for (tgid, nr, octave) in [(0, 0, 0), (u32::MAX, NO_NR, octaves - 1), (4_194_303, 44, 9)] {
            let tag = tag(whose(tgid, nr), octave * SLOTS as u32 + 5);
            assert_ne!(tag, 0);
            assert!(place(tag) < CACHED_ROWS);
            let (site, writer) = (7, 3);
            assert_eq!(LsmKey::of(tag, site, writer), LsmKey { tgid, nr, site, octave, writer });
        }
    }

    #[test]
    fn neighbours_have_places_of_their_own() {
        let places = |step: &dyn Fn(u32) -> u64| {
            (0..8).fold(0u32, |places, index| places | 1 << place(step(index))).count_ones()
        };
        assert!(places(&|index| tag(whose(4711 + index, NO_NR), 40)) >= 6);
        assert!(places(&|index| tag(whose(4711, NO_NR), 40 + 8 * index)) >= 5);
    }

    #[test]
    fn only_begins_of_one_site_have_a_time_between_them() {
        let end = |now: u64, site| begin_of(now, begin_tag(site));
        // A clock that counts for a year, or runs over, makes no difference.
        for now in [0, 1 << 50, 1 << 55, u64::MAX - 5] {
            for site in [0, 1, 511] {
                let begin = end(now, site);
                for ns in [0, 9, SHORT_NS, 1 << 53] {
                    assert_eq!(lasted(end(now.wrapping_add(ns), site).wrapping_sub(begin)), Some(ns));
                }
                assert_eq!(lasted(end(now.wrapping_sub(9), site).wrapping_sub(begin)), Some(0));
                for other in [(site + 1) % 512, (site + 300) % 512] {
                    for ns in [0, 9, 1 << 40] {
                        let difference = end(now.wrapping_add(ns), other).wrapping_sub(begin);
                        assert!(
                            difference >= SHORT_NS && lasted(difference).is_none(),
                            "{now} {site} {other}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn calls_that_do_not_fit_are_none() {
        assert_eq!((short_nr(NO_CALL), short_nr(4095), short_nr(46)), (NO_NR, NO_NR, 46));
    }
}
