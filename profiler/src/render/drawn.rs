//! What a picture shows, and what it leaves out.
//!
//! In: folded paths. Out: the pruned tree of the first class that has any weight (work, else
//! user locks, else idle) and the weights of the classes left out. Idle threads wait for whole
//! sessions: beside them, work would be a column of one pixel.

use super::fold::Folded;
use super::syscalls::CallClass;
use super::tree::Tree;

const ORDER: [CallClass; 3] = [CallClass::Work, CallClass::UserLock, CallClass::Idle];

/// A picture before it is drawn.
#[derive(Debug)]
pub struct Drawn {
    /// What is drawn.
    pub tree: Tree,
    /// Classes that are not drawn, with their weight.
    pub left_out: Vec<(CallClass, u128)>,
}

impl Drawn {
    /// Chooses the class and prunes its tree.
    pub fn new(folded: &Folded) -> Self {
        let totals = ORDER.map(|class| (class, folded.total(class)));
        let drawn = totals.iter().find(|(_, total)| *total > 0).map_or(CallClass::Work, |(class, _)| *class);
        let others = totals.into_iter().filter(|(class, total)| *class != drawn && *total > 0);
        let left_out = others.chain(folded.without()).collect();
        Self { tree: Tree::new(folded, drawn), left_out }
    }
}
