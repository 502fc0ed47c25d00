//! What a picture is made of: a row of the table in `pictures`.
//!
//! In: nothing. Out: [`Drawing`]: unit, title, events, and how its rows become paths. The rows may be of a
//! part of the recording. Their classes and names come from the whole recording, which the folder has.

use super::fold::Folder;
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::{Header, Profile};

/// A picture.
pub struct Drawing {
    /// The unit of its weights.
    pub unit: &'static str,
    /// Its title, without the target.
    pub title: fn(&Header) -> String,
    /// How many events its probe saw.
    pub events: fn(&Profile) -> u64,
    /// The name of these events.
    pub event: &'static str,
    /// The populations of its losses, beside stacks and frames.
    pub of: &'static [Population],
    /// Folds its rows.
    pub fold: fn(Measured<'_>, &mut Folder<'_>),
}

impl Drawing {
    /// Whether a loss counted against `population` touches this picture.
    pub fn concerns(&self, population: Population) -> bool {
        match population {
            Population::Calls
            | Population::LockWaits
            | Population::LsmReturns
            | Population::Waits
            | Population::Samples
            | Population::Requests => self.of.contains(&population),
            Population::Stacks | Population::Frames | Population::Weight | Population::None => true,
        }
    }
}
