//! Waits that block, with their stacks and who ended them.

pub mod chains;
pub mod drain;
pub mod findings;
pub mod futex;
pub mod json;
pub mod lines;
pub mod merged;
pub mod outside;
pub mod picture;
pub mod plan;
pub mod rows;
pub mod table;
pub mod wakers;
