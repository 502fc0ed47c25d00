//! Defaults of the command line, once: a leaf.
//!
//! In: nothing. Out: values as a user would type them.

/// Slow-call threshold.
pub const DEFAULT_SLOW: &str = "10ms";
/// Size of a capture.
pub const DEFAULT_MAX_SIZE: &str = "1G";
/// CPU samples a second.
pub const DEFAULT_FREQUENCY: &str = "99";
/// Bytes of a user stack that are copied at most: [`profiler_common::copy::STACK_BYTES`].
pub const DEFAULT_STACK_BYTES: &str = "32760";
