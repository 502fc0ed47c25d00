//! The target: who is measured.

pub mod cgroup;
pub mod filter;
pub mod own;
pub mod place;
mod thread_name;
