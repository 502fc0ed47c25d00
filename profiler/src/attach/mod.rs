//! Loads and attaches the kernel side.
//!
//! In: a validated [`Request`]. Out: [`Attached`], whose maps `collect` drains, and the plan that
//! says which backend each probe got and what it misses. Detached when dropped.

mod backend;
mod btf;
mod clock;
mod copies;
mod follow;
mod globals;
mod kernel_function;
mod load;
mod log;
mod lsm;
mod mappings;
mod object;
pub mod offsets;
mod peers;
mod raw;
mod refusal;
mod request;
mod requests;
mod sampling;
mod session;
mod sizes;

pub use clock::{now_ns, starts_ahead_ns};
pub use follow::{Instances, is_somebody};
pub use lsm::site::HOOKS as LSM_HOOKS;
pub use lsm::{Lsm, LsmRequest};
pub use object::{Object, bytes as object};
pub use offsets::Hierarchy;
pub use request::{Filter, Place, Request};
pub use session::Attached;
