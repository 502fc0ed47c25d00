//! Rows of `runq`: they are drained with all waits off the CPU.

pub use crate::collect::source::NoMaps as Maps;
