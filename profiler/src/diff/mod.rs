//! The difference of two recordings: what moved, by how much, and what would have been seen.
//!
//! In: two sides, each read twice from a capture (`side`): first as a whole, then slice by slice. Out: verdicts with a noise floor for
//! each row, differences of the environment, of stacks, conditions for scripts; as text, JSON and flame graphs.
//! All of it is a pure function of the two sides.

pub mod change;
pub mod condition;
pub mod environment;
mod evidence;
pub mod json;
mod measure;
mod paths;
pub mod picture;
pub mod side;
mod slices;
mod statistics;
pub mod subject;
pub mod text;
mod tree;
mod words;

pub use change::Difference;
pub use condition::{Condition, Outcome};
pub use side::{First, Range, Side};
pub use words::Width;
