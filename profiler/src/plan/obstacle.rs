//! Obstacles: what stands in the way of a backend.
//!
//! In: nothing. Out: [`Obstacle`].

use std::fmt;

use serde::Serialize;

/// Something that stands in the way, and what removes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// What is missing, one phrase.
    pub cause: String,
    /// What the user does about it, one phrase.
    pub mend: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; fix: {}", self.cause, self.mend)
    }
}
