//! A folder for each probe: all that user space has for it.
//!
//! In: what the stages offer. Out: for each stage a file: `plan.rs`, `rows.rs` (`profile`), `drain.rs` (`collect`);
//! all others are `render`'s. A file may import what its stage may; stages reach it by `probe::each_probe`.

pub mod blame;
pub mod block;
pub mod cpu;
pub mod crash;
pub mod lock;
pub mod lsm;
pub mod offcpu;
pub mod peer;
pub mod runq;
pub mod syscall;
pub mod waits;
