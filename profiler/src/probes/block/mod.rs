//! Requests of disks: how long each was in the queue and in the device, and who submitted it.

pub mod call;
pub mod drain;
pub mod filled;
pub mod findings;
pub mod json;
pub mod lines;
pub mod names;
pub mod picture;
pub mod plan;
pub mod rows;
pub mod table;
