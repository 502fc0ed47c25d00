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

    /// The rows of each table of a class that is to be shown, with its heading and how many rows it has: work always, the others
    /// if they have any, idle ones if they stand apart.
    pub fn tables<'l, L>(
        self,
        lines: &'l [L],
        class_of: impl Fn(&L) -> CallClass,
        tables: [(CallClass, &'static str, usize); 3],
    ) -> impl Iterator<Item = (&'static str, Vec<&'l L>, usize)> {
        tables.into_iter().filter_map(move |(class, heading, limit)| {
            let lines: Vec<_> = lines.iter().filter(|line| self.stands_in(class, class_of(line))).collect();
            let apart = class != CallClass::Idle || self == Self::Apart;
            (apart && (class == CallClass::Work || !lines.is_empty())).then_some((heading, lines, limit))
        })
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
