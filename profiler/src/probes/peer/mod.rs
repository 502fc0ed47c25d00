//! Peers: for whom calls slept until something came.

pub mod drain;
pub mod findings;
pub mod json;
pub mod lines;
pub mod picture;
pub mod plan;
pub mod rows;
pub mod table;
