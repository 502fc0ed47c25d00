//! Waits off the CPU: what the `offcpu` and `runq` probes share. The same switches end both kinds.

pub mod class;
pub mod drain;
pub mod ended;
pub mod ender;
pub mod findings;
pub mod interrupt;
pub mod json;
pub mod near;
pub mod place;
pub mod request;
pub mod rows;
pub mod stacks;
pub mod sums;
pub mod user_lock;
pub mod verdict;
pub mod words;
