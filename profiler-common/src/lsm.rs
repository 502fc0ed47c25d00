//! The `lsm` probe's records.
//!
//! In: functions of the kernel's security layer that returned. Out: rows per (process, site, call), and
//! stacks that carry the time since the stack before. A site is one traced function: a hook
//! (`security_socket_sendmsg`) or a module's own function below it.

use crate::syscall::{LatencyRow, NO_CALL};

/// Sites a session can have.
pub const SITES: usize = 512;

/// Set in the injected site word: the function also runs in interrupts, so its context must be asked for.
pub const ASKS_CONTEXT: u32 = 1 << 16;

/// What user space replaces in the programs by (site | flags) before each load: the verifier then
/// knows the site as a constant, and no kernel needs to tell a program where it is attached.
pub const SITE_MARK: u32 = 0x4c53_4d5f;

/// Hook time that a stack stands for, ns: a row's time since its last stack must reach this.
pub const STACK_EVERY_NS: u64 = 1_000_000;

/// Key of a row.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LsmKey {
    /// Process; 0 for interrupts.
    pub tgid: u32,
    /// System call it happened in; [`NO_NR`] when there is none or it is not known.
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

/// Rows a CPU keeps at hand per epoch and level.
pub const CACHED_ROWS: usize = 64;

/// A row at hand.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CachedRow {
    /// Which row: see [`tag`]; 0 = free.
    pub tag: u64,
    /// Time that no stack stands for yet, ns.
    pub unseen_ns: u64,
    /// Its counts.
    pub row: LatencyRow,
}
crate::shared_record!(CachedRow, 64);

/// The rows one CPU has at hand in one epoch, on one level.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CachedRows {
    /// 1: a program is at work on them.
    pub taken: u32,
    /// Their level.
    pub level: u32,
    /// An octave of that program.
    pub octave: u32,
    /// Explicit padding.
    pub pad: u32,
    /// By [`place`].
    pub rows: [CachedRow; CACHED_ROWS],
}
crate::shared_record!(CachedRows, 16 + 64 * CACHED_ROWS);

impl Default for CachedRows {
    fn default() -> Self {
        Self { taken: 0, level: 0, octave: 0, pad: 0, rows: [CachedRow::default(); CACHED_ROWS] }
    }
}

/// Levels: a program that was interrupted, or preempted, in the middle of a row leaves the first to the
/// one that runs on top of it.
pub const LEVELS: usize = 2;

/// Packs what tells a row apart on one CPU in one epoch; never 0.
#[inline(always)]
pub const fn tag(tgid: u32, nr: u16, site: u16, octave: u8) -> u64 {
    1 << 63
        | (octave as u64 & 0x3f) << 54
        | (site as u64 & 0x3ff) << 44
        | (nr as u64 & 0xfff) << 32
        | tgid as u64
}

/// The only place at hand where the row of a tag may be.
#[inline(always)]
pub const fn place(tag: u64) -> usize {
    (tag.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize & (CACHED_ROWS - 1)
}

impl LsmKey {
    /// The key behind a tag.
    #[inline(always)]
    pub const fn of(tag: u64, writer: u32) -> Self {
        let (nr, site) = ((tag >> 32) as u16 & 0xfff, (tag >> 44) as u16 & 0x3ff);
        Self { tgid: tag as u32, nr, site, octave: (tag >> 54) as u32 & 0x3f, writer }
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
        for (tgid, nr, site, octave) in
            [(0, 0, 0, 0), (u32::MAX, NO_NR, 511, crate::histogram::OCTAVES - 1), (4_194_303, 44, 7, 9)]
        {
            let tag = tag(tgid, nr, site, octave);
            assert_ne!(tag, 0);
            assert!(place(tag) < CACHED_ROWS);
            let key = LsmKey::of(tag, 3);
            assert_eq!(key, LsmKey { tgid, nr, site, octave: u32::from(octave), writer: 3 });
        }
    }

    #[test]
    fn calls_that_do_not_fit_are_none() {
        assert_eq!((short_nr(NO_CALL), short_nr(4095), short_nr(46)), (NO_NR, NO_NR, 46));
    }
}
