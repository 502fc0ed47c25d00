//! User stacks from a copy of the thread's stack and registers, by the unwind tables of the code that made them.
//!
//! In: copies, the executable regions of their processes, the pinned files. Out: for each copy its positions, leaf first,
//! and why they end where they do.
//! The files are hostile: they are read in the child that [`super::worker`] confines. What may be tested without a child
//! takes bytes.

mod alone;
mod elf;
mod evaluate;
mod image;
mod memory;
mod run;
mod tables;
#[cfg(test)]
mod tests;
mod walk;

pub use alone::unwind_through;
pub(super) use run::{Batch, Unwinder};
pub use walk::Unwound;
