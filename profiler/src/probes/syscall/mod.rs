//! System calls: latency by process and call, and of the slow ones stacks and parts of their wall time.

pub mod callers;
pub mod calls;
pub mod drain;
pub mod findings;
pub mod heat;
pub mod in_flight;
pub mod json;
pub mod largest_part;
pub mod latency;
pub mod lines;
pub mod parts;
pub mod picture;
pub mod plan;
pub mod rows;
pub mod slow;
pub mod slowest;
pub mod subject;
pub mod table;
pub mod tracks;
pub mod user_locks;
pub mod worst;
