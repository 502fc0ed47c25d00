//! Where processes died.

pub mod drain;
pub mod dump;
pub mod findings;
pub mod json;
pub mod kind;
pub mod picture;
pub mod place;
pub mod plan;
pub mod rows;
pub mod screen;
pub mod table;
