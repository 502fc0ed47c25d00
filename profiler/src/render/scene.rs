//! What a probe's tables and rows are made from.
//!
//! In: nothing. Out: [`Scene`]; [`Idle`]: what the user wants of idle calls and waits.

use super::ranked::Ranked;
use super::syscalls::CallClass;
use crate::profile::Profile;

/// Where idle calls and waits stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// In tables of their own, behind the others and shorter.
    #[default]
    Apart,
    /// Nowhere but in `summary.json` (`--no-idle`).
    LeftOut,
    /// Among the others, by their time (`--idle`).
    Among,
}

impl Idle {
    /// Whether rows of class `own` stand in the table of `class`.
    pub fn stands_in(self, class: CallClass, own: CallClass) -> bool {
        own == class || self == Self::Among && class == CallClass::Work && own == CallClass::Idle
    }
}

/// A profile being rendered.
#[derive(Clone, Copy)]
pub struct Scene<'s> {
    /// The profile.
    pub profile: &'s Profile,
    /// Its ranked rows.
    pub ranked: &'s Ranked<'s>,
    /// Where idle calls and waits stand.
    pub idle: Idle,
}
