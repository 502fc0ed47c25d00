//! Collect: what the kernel side holds, drained about once a second into chunks.
//!
//! In: the maps of `probe`. Out: decoded [`Events`] and [`Drained`] rows; `command::record` joins
//! them with symbols into intervals.

mod batch;
mod convert;
mod cost;
mod drain;
mod event;
mod in_flight;
mod ledger;
mod waits;

pub use cost::Meter;
pub use drain::{Drained, Rows, wait_for_programs};
pub use event::{Event, comm, parse as parse_event};
pub use in_flight::{Found, FoundStack, parse as parse_in_flight, running};
pub use ledger::Outcomes;
