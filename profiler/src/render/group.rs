//! One row for many processes of one name.
//!
//! In: ranked lines. Out: the same lines, but lines of at least [`MANY`] processes of one name are one group:
//! a shell loop is `sh ×200` instead of 200 lines. A process that alone has half of a group's weight keeps
//! its own line. Only tables group: `summary.json` has each row.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::profile::{Pid, Profile};

/// Processes of one name that are summed.
const MANY: usize = 8;

/// Lines that are shown as one, never none.
pub struct Group<'l, L> {
    lines: Vec<&'l L>,
    weight: u64,
}

impl<'l, L> Group<'l, L> {
    /// The heaviest line.
    pub fn first(&self) -> &'l L {
        self.lines[0]
    }

    /// All lines, heaviest first.
    pub fn lines(&self) -> &[&'l L] {
        &self.lines
    }

    /// Sum of the lines' weights.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// The pid, or how many there are.
    pub fn pid(&self, profile: &Profile, pid: impl Fn(&L) -> Pid) -> String {
        match self.processes(profile, &pid) {
            1 => pid(self.first()).0.to_string(),
            many => format!("×{}", super::humane::count(many)),
        }
    }

    /// How many processes the lines are of, each of one, or of all ended ones of a name.
    pub fn processes(&self, profile: &Profile, pid: impl Fn(&L) -> Pid) -> u64 {
        let of = |line: &&L| profile.processes.ended(pid(line)).max(1);
        self.lines.iter().map(of).fold(0, u64::saturating_add)
    }
}

/// Lines are in one group if name and container of their processes are the same, and `more` is.
pub fn key<K>(profile: &Profile, pid: Pid, more: K) -> (&str, &str, K) {
    (profile.processes.container(pid), profile.processes.comm(pid), more)
}

/// Groups lines, each of another process where their keys are equal; heaviest group first.
pub fn groups<'l, L, K: Ord>(
    lines: impl IntoIterator<Item = &'l L>,
    key: impl Fn(&'l L) -> K,
    weight: impl Fn(&L) -> u64,
) -> Vec<Group<'l, L>> {
    let mut sets: BTreeMap<K, Vec<&'l L>> = BTreeMap::new();
    for line in lines {
        sets.entry(key(line)).or_default().push(line);
    }
    let sum = |lines: &[&L]| lines.iter().map(|line| weight(line)).fold(0, u64::saturating_add);
    let mut groups = Vec::new();
    for (_, mut lines) in sets {
        lines.sort_by_key(|line| Reverse(weight(line)));
        let half = sum(&lines) / 2;
        let apart = lines.iter().take_while(|line| weight(line) >= half && half > 0).count();
        let apart = if lines.len() < MANY { lines.len() } else { apart };
        // What is left over must still be many.
        let apart = if lines.len() - apart < MANY { lines.len() } else { apart };
        let rest = lines.split_off(apart);
        groups.extend(lines.into_iter().map(|line| Group { lines: vec![line], weight: weight(line) }));
        if !rest.is_empty() {
            groups.push(Group { weight: sum(&rest), lines: rest });
        }
    }
    groups.sort_by_key(|group| Reverse(group.weight));
    groups
}

/// As [`groups`], but all lines of one key are one group: for sentences about what a program did.
pub fn whole<'l, L, K: Ord>(
    lines: impl IntoIterator<Item = &'l L>,
    key: impl Fn(&'l L) -> K,
    weight: impl Fn(&L) -> u64,
) -> Vec<Group<'l, L>> {
    let mut sets: BTreeMap<K, Group<'l, L>> = BTreeMap::new();
    for line in lines {
        let group = sets.entry(key(line)).or_insert_with(|| Group { lines: Vec::new(), weight: 0 });
        group.lines.push(line);
        group.weight = group.weight.saturating_add(weight(line));
    }
    let mut groups: Vec<_> = sets.into_values().collect();
    groups.iter_mut().for_each(|group| group.lines.sort_by_key(|line| Reverse(weight(line))));
    groups.sort_by_key(|group| Reverse(group.weight));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(lines: &[(u32, u64)]) -> Vec<(usize, u64)> {
        let groups = groups(lines, |line| line.0, |line| line.1);
        groups.iter().map(|group| (group.lines().len(), group.weight())).collect()
    }

    #[test]
    fn many_are_one_and_few_are_not() {
        let many: Vec<_> = (0..200).map(|_| (7, 3)).chain([(9, 100), (9, 50)]).collect();
        assert_eq!(shapes(&many), [(200, 600), (1, 100), (1, 50)]);
        let few: Vec<_> = (0..MANY as u64 - 1).map(|at| (7, 10 - at)).collect();
        assert_eq!(shapes(&few).len(), MANY - 1);
    }

    #[test]
    fn the_one_that_hangs_is_not_hidden_among_many() {
        let lines: Vec<_> = (0..200).map(|_| (7, 3)).chain([(7, 9_000)]).collect();
        assert_eq!(shapes(&lines), [(1, 9_000), (200, 600)]);
        assert_eq!(shapes(&[(1, 0), (1, 0)]), [(1, 0), (1, 0)]);
        assert_eq!(shapes(&[(1, u64::MAX); 9]).len(), 9, "absurd weights do not overflow");
    }
}
