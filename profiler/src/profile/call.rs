//! System calls by number.
//!
//! In: nothing. Out: [`CallNumber`].

/// A system call number of the x86-64 table; wide: see [`profiler_common::abi`] for those of other tables.
pub type CallNumber = u32;
