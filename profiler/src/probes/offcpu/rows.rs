//! Rows of `offcpu`: they are in those of waits off the CPU, which one switch ends for both probes.

use crate::profile::row_set::NoRows;

/// None of its own.
pub type Rows = NoRows;
