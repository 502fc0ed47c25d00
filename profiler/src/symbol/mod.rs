//! Symbols: from raw addresses to interned frames while recording, and to names at the end.
//!
//! In: stacks (addresses, leaf first) of the kernel and of processes that may die any moment; descriptors.
//! Out: `profile::stack` modules, frames and stacks per interval; names or the reason there is none.
//! An executable is pinned (opened) while its process lives and read by a child process that may
//! crash on a hostile file without harm; perf maps and kallsyms have bounded readers of their own.
//! All frames but the leaf hold the return address − 1: a position inside the call they return to.

mod build_id;
mod elf;
mod frames;
mod interner;
mod kallsyms;
mod maps;
mod names;
mod object;
mod open;
mod perf_map;
mod pin;
mod process;
mod socket;
mod vdso;
mod worker;

pub use interner::Interner;
pub use kallsyms::{KernelSymbol, KernelSymbols};
pub use object::name_objects;
pub use perf_map::PerfMap;

use std::time::Duration;

/// What looking up names may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Files above this many bytes are named from their symbol table alone, without DWARF.
    pub dwarf_bytes: u64,
    /// Memory the child that reads ELF files may add to what it starts with, bytes.
    pub memory_bytes: u64,
    /// Without an answer for this long, the file being read is given up.
    pub stall: Duration,
    /// All ELF files together; frames not named by then are `NotReached`.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            dwarf_bytes: 512 << 20,
            memory_bytes: 1 << 30,
            stall: Duration::from_secs(10),
            total: Duration::from_secs(60),
        }
    }
}
