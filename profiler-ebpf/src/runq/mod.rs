//! `runq` probe. Hooks: those of `thread`.
//!
//! Produces: a row for every wait for a CPU, and for the long ones, who ran meanwhile.

pub mod neighbour;
pub mod queued;
