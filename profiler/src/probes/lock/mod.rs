//! Waits for kernel locks, with who held them.

pub mod drain;
pub mod findings;
pub mod holders;
pub mod json;
pub mod lines;
pub mod picture;
pub mod plan;
pub mod rows;
pub mod slow_paths;
pub mod table;
pub mod tracing;
