//! Lines of the report.
//!
//! In: nothing. Out: [`Line`]: a fact, judged.

use serde::Serialize;

/// How good a fact is for profiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Nothing to do.
    Ok,
    /// Something is less than it could be, or could not be told.
    Warn,
    /// Something cannot be done.
    No,
}

impl Mark {
    /// The word users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::No => "no",
        }
    }
}

/// One fact, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// How good it is.
    pub mark: Mark,
    /// The fact's name.
    pub subject: String,
    /// The fact itself, or `unknown (reason)`.
    pub state: String,
    /// What the state means for the user, one phrase each.
    pub notes: Vec<String>,
    /// The fix; empty if there is nothing to do.
    pub mend: String,
}
