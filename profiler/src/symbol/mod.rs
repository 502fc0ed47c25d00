//! Symbols: from raw addresses to interned frames while recording, and to names at the end.
//!
//! In: stacks (addresses, leaf first) of the kernel and of processes that may die any moment; descriptors.
//! Out: `profile::stack` modules, frames and stacks per interval; names or the reason there is none.
//! An executable is pinned (held by its place) while its process lives. Only children open and read what is not ours: one
//! may hang or crash on a hostile file without harm.
//! All frames but the leaf hold the return address − 1: a position inside the call they return to.

pub mod asleep;
pub mod build_id;
mod compressed;
mod confined;
mod debug_file;
mod diagnosis;
mod elf;
mod foreseen;
mod frames;
pub mod given;
mod golang;
mod headers;
mod holders;
mod interner;
mod job;
mod kallsyms;
mod limits;
mod look;
mod mangled;
pub mod maps;
mod names;
mod networks;
mod object;
mod open;
mod other_end;
mod perf_map;
mod pin;
mod plain;
mod polled;
mod process;
mod reading;
mod role;
mod served;
mod socket;
pub mod subject;
mod tcp_peer;
mod unix_peer;
mod unsettled;
pub mod unwind;
mod vdso;
mod walks;
mod watched;
mod worker;

#[cfg(test)]
mod tests;

pub use foreseen::Foreseen;
pub use interner::Interner;
pub use kallsyms::{KernelSymbol, KernelSymbols};
pub use limits::Limits;
pub use object::name_objects;
pub use perf_map::PerfMap;
pub use role::Roles;
pub use walks::Found;
