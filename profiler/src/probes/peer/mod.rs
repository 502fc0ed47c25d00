//! Peers: for whom calls slept until something came, and for whom threads then worked.

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
