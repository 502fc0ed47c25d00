//! Rows: sums that user space drains once a second.

pub mod at_hand;
pub mod longest;
pub mod sum;
pub mod waits;
pub mod writer;
