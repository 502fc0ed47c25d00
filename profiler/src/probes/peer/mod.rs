//! Peers: whose data calls slept for, and for which peer threads then worked.

pub mod cpu;
pub mod cpu_table;
pub mod drain;
pub mod findings;
pub mod gate;
pub mod json;
pub mod lines;
pub mod peers;
pub mod picture;
pub mod plan;
pub mod rows;
pub mod table;
