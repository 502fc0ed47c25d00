//! The types of waits off the CPU, re-exported from one place.
//!
//! In: the rows that `offcpu` and `runq` share. Out: their types by name.

pub use super::wait::Wait;
pub use crate::probes::waits::rows::{
    NeighbourKey, NeighbourRow, QueueKey, WaitKey, WaitRows, WaitStackKey, WaitStackRow, Waker,
};
