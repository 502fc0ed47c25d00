//! Wait chains: what the thread that ended a wait had itself waited for meanwhile.
//!
//! In: long waits that end. Out: rows by link. A link is a process, what it waited for, and the link that this was explained by, its
//! parent; the id of a link is a hash of these, so that chains of any depth are handed on as one number.

use crate::stack::{finish, mix};

/// No link: a wait that nothing explains.
pub const NO_LINK: u64 = 0;
/// Links of a chain at most.
pub const DEEPEST: u32 = 16;

/// In [`LinkKey::how`]: the process is outside the target, and ended waits of the target.
pub const OUTSIDE: u32 = 1 << 8;

/// Why a wait has no parent, and what else is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "user", serde(rename_all = "kebab-case"))]
#[repr(u32)]
pub enum How {
    /// It has one.
    Inherited,
    /// Who ended it ran, or waited for less than is remembered.
    Ran,
    /// An interrupt ended it.
    Interrupt,
    /// Nobody saw who ended it.
    Unseen,
    /// Who ended it had waited for the same thread.
    Cycle,
    /// Its chain has more links than are kept.
    Deep,
}

impl How {
    /// All of them, by index.
    pub const ALL: [Self; 6] =
        [Self::Inherited, Self::Ran, Self::Interrupt, Self::Unseen, Self::Cycle, Self::Deep];

    /// What is said of the time that no link explains.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Inherited => "who ended it ran for the rest",
            Self::Ran => "who ended it ran",
            Self::Interrupt => "an interrupt ended it",
            Self::Unseen => "not seen who ended it",
            Self::Cycle => "who ended it waited for the same thread",
            Self::Deep => "the chain is longer than is kept",
        }
    }
}

/// Key of the waits of one link.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey {
    /// Process that waited.
    pub tgid: u32,
    /// What for, and in which call: see [`crate::wait::pack`].
    pub packed: u32,
    /// Kernel stack of the wait.
    pub kernel: u64,
    /// The link that explains it; [`NO_LINK`]: none.
    pub parent: u64,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
    /// Index of [`How`], and [`OUTSIDE`].
    pub how: u32,
}
crate::shared_record!(LinkKey, 32);

/// Waits of one link.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkRow {
    /// Waits that this parent explains most of.
    pub waits: u64,
    /// Their sum, ns.
    pub total_ns: u64,
    /// What the parent explains of it, ns.
    pub explained_ns: u64,
    /// Time that the parent explains in other waits, most of whose time another link explains, ns.
    pub also_ns: u64,
}
crate::shared_record!(LinkRow, 32);

/// The id of a link; never [`NO_LINK`].
#[inline(always)]
pub const fn link(tgid: u32, packed: u32, kernel: u64, parent: u64) -> u64 {
    finish(mix(mix(mix(0x9e37_79b9_7f4a_7c15, (tgid as u64) << 32 | packed as u64), kernel), parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_its_position_in_the_list_and_each_part_of_a_link_tells() {
        for (index, how) in How::ALL.iter().enumerate() {
            assert_eq!(*how as usize, index);
        }
        let one = link(1, 2, 3, 4);
        assert!(
            [link(2, 2, 3, 4), link(1, 3, 3, 4), link(1, 2, 4, 4), link(1, 2, 3, 5)]
                .iter()
                .all(|other| *other != one)
        );
    }
}
