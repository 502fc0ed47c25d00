//! Collect: what the kernel side holds, drained about once a second into chunks.
//!
//! In: the maps of `probe`. Out: decoded [`Events`] and [`Drained`] rows; `command::record` joins
//! them with symbols into intervals.

mod batch;
mod copies;
mod cost;
mod drain;
pub(crate) mod event;
mod faults;
mod in_flight;
mod ledger;
pub(crate) mod source;

pub use copies::Copies;
pub use cost::Meter;
pub use drain::{Drained, Rows, wait_for_programs};
pub use event::{Event, comm, comm_of, parse as parse_event};
pub use faults::{Faults, Told as ToldFault};
pub use in_flight::{Found, FoundStack, OpenWait, Registers, parse as parse_in_flight, running};
pub use ledger::Outcomes;
pub use source::Contexts;
