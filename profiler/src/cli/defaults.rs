//! Defaults of the command line, once: a leaf.
//!
//! In: nothing. Out: values as a user would type them.

/// Slow-call threshold.
pub const DEFAULT_SLOW: &str = "10ms";
/// CPU samples a second.
pub const DEFAULT_FREQUENCY: &str = "99";
