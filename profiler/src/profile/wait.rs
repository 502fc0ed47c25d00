//! What a thread off the CPU waits for.
//!
//! In: nothing. Out: [`Wait`], which the kernel side counts by and captures name.

pub use profiler_common::wait::Wait;
