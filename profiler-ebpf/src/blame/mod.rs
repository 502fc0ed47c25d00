//! Who is to blame for a long wait. Hooks: those of `thread` and `offcpu`.
//!
//! Produces: links of wait chains, and for long waits for locks of user space rows by lock and holder.

pub mod chain;
pub mod held;
pub mod memory;
mod number;
pub mod outsider;
pub mod owner;
pub mod wait;
