//! What every probe's rows can do.
//!
//! In: nothing. Out: [`RowSet`]; each implementation takes its rows apart without `..`, so that none is forgotten.

use serde::{Deserialize, Serialize};

use super::folding::Keys;
use super::stack::StackId;

/// Memory of an entry of a table beside its text, bytes.
pub const ENTRY: u64 = 128;

/// The rows of a probe.
pub trait RowSet: Default {
    /// Adds a delta.
    fn add(&mut self, delta: &Self);

    /// Memory they take, bytes.
    fn weigh(&self) -> u64;

    /// Calls `each` with all stacks that they refer to.
    fn stacks(&self, each: &mut dyn FnMut(StackId));

    /// Gives rows other keys; rows that come together are added up.
    fn rekey(&mut self, keys: &dyn Keys);

    /// Whether there never are any: such are not written.
    fn is_nothing(&self) -> bool {
        false
    }
}

/// The rows of a probe that has none of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoRows;

impl RowSet for NoRows {
    fn add(&mut self, _: &Self) {}

    fn weigh(&self) -> u64 {
        0
    }

    fn stacks(&self, _: &mut dyn FnMut(StackId)) {}

    fn rekey(&mut self, _: &dyn Keys) {}

    fn is_nothing(&self) -> bool {
        true
    }
}
