//! When the target was there: its instances come and go.
//!
//! In: changes, in the order of their time. Out: the gaps of each cgroup of the target.

use serde::{Deserialize, Serialize};

/// Changes that are kept; what is more is counted.
const KEPT: usize = 4_096;

/// A cgroup of the target came or went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceChange {
    /// What users call it.
    pub name: String,
    /// When, ns since the start of the session.
    pub at_ns: u64,
    /// It is there from then on, or no more.
    pub present: bool,
}

/// A time without any instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Absence<'p> {
    /// Of what.
    pub name: &'p str,
    /// From, ns since the start of the session.
    pub from_ns: u64,
    /// To; none: until the end.
    pub to_ns: Option<u64>,
}

/// All changes of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    changes: Vec<PresenceChange>,
    /// Changes beyond those that are kept.
    pub dropped: u64,
}

impl Presence {
    /// Adds changes.
    pub fn extend(&mut self, changes: Vec<PresenceChange>) {
        let room = KEPT.saturating_sub(self.changes.len());
        self.dropped = self.dropped.saturating_add(changes.len().saturating_sub(room) as u64);
        self.changes.extend(changes.into_iter().take(room));
    }

    /// What went or was not there, each in the order of its first change.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for change in &self.changes {
            if !names.contains(&change.name.as_str()) {
                names.push(change.name.as_str());
            }
        }
        names
    }

    /// Its gaps.
    pub fn absences(&self, name: &str) -> Vec<Absence<'_>> {
        let mut absences: Vec<Absence<'_>> = Vec::new();
        for change in self.changes.iter().filter(|change| change.name == name) {
            let open = absences.last_mut().filter(|absence| absence.to_ns.is_none());
            match (open, change.present) {
                (Some(open), true) => open.to_ns = Some(change.at_ns.max(open.from_ns)),
                (None, false) => {
                    absences.push(Absence { name: &change.name, from_ns: change.at_ns, to_ns: None });
                }
                (Some(_), false) | (None, true) => {}
            }
        }
        absences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(changes: &[(u64, bool)]) -> Presence {
        let change = |(at_ns, present): &(u64, bool)| PresenceChange {
            name: "web".into(),
            at_ns: *at_ns,
            present: *present,
        };
        let mut presence = Presence::default();
        presence.extend(changes.iter().map(change).collect());
        presence
    }

    #[test]
    fn gaps_lie_between_an_end_and_the_next_begin() {
        let gaps = |changes: &[(u64, bool)]| -> Vec<(u64, Option<u64>)> {
            let presence = presence(changes);
            presence.absences("web").iter().map(|gap| (gap.from_ns, gap.to_ns)).collect()
        };
        assert_eq!(gaps(&[]), []);
        assert_eq!(gaps(&[(0, false), (5, true)]), [(0, Some(5))]);
        assert_eq!(gaps(&[(5, false), (7, true), (12, false)]), [(5, Some(7)), (12, None)]);
        assert_eq!(gaps(&[(1, true), (5, false), (6, false), (7, true), (8, true)]), [(5, Some(7))]);
        assert_eq!(
            gaps(&[(9, false), (7, true)]),
            [(9, Some(9))],
            "clocks that disagree make no negative time"
        );
    }

    #[test]
    fn changes_without_end_are_counted_and_not_kept() {
        let changes: Vec<(u64, bool)> = (0..5_000).map(|at| (at, at % 2 == 1)).collect();
        let presence = presence(&changes);
        assert_eq!((presence.changes.len(), presence.dropped), (KEPT, 5_000 - KEPT as u64));
    }
}
