//! Time in the hooks of the security layer, and in its modules.

pub mod drain;
pub mod findings;
pub mod json;
pub mod lines;
pub mod picture;
pub mod plan;
pub mod rows;
pub mod table;
