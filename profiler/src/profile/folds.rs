//! Which pid stands for ended processes of one name.
//!
//! In: what is known of an ended process. Out: a pid that no process has, the same for all with the same facts.

use std::collections::HashMap;

/// Names, containers and the like of ended processes, and the process that stands for each.
#[derive(Clone, Debug, Default)]
pub struct Folds {
    known: HashMap<[String; 4], u32>,
}

impl Folds {
    /// Of so many at most; what is more is one.
    const MOST: usize = 4_096;
    /// Pids from here on stand for ended processes: the kernel's own end at 2²².
    const FIRST: u32 = 1 << 31;

    /// Whether a pid stands for ended processes.
    pub const fn is_fold(pid: u32) -> bool {
        pid >= Self::FIRST
    }

    /// The pid that stands for processes of these facts, and the facts that it has: when there are too many, none.
    pub fn of(&mut self, mut facts: [String; 4]) -> (u32, [String; 4]) {
        if self.known.len() >= Self::MOST && !self.known.contains_key(&facts) {
            facts = ["[others]".to_owned(), String::new(), String::new(), String::new()];
        }
        let next = Self::FIRST + self.known.len() as u32;
        (*self.known.entry(facts.clone()).or_insert(next), facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_names_are_one() {
        let mut folds = Folds::default();
        let facts = |name: String| [name, String::new(), String::new(), String::new()];
        let mut pids: Vec<_> = (0..5_000).map(|at| folds.of(facts(format!("sh{at}"))).0).collect();
        assert_eq!(folds.of(facts("sh7".into())).0, pids[7]);
        pids.dedup();
        assert_eq!(pids.len(), Folds::MOST + 1);
        assert!(pids.iter().all(|pid| Folds::is_fold(*pid)));
    }
}
