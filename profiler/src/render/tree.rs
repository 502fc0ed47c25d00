//! The picture's tree: nodes too narrow to see are left out before they cost anything.
//!
//! In: sorted paths of [`Folded`]. Out: folded lines of what remains, root → leaf, siblings
//! together, and the weight that was left out. Memory: the open path and the nodes kept.

use super::fold::{Folded, Path};
use super::name::NameId;
use super::syscalls::CallClass;

/// A node narrower than this part of the whole is left out: a quarter of a pixel of 1,200.
pub const NARROWEST: u128 = 4800;

/// A node that is kept.
#[derive(Debug)]
struct Node {
    name: NameId,
    weight: u128,
    /// Part of `weight` that ends in this very node.
    own: u128,
    children: Vec<Self>,
}

/// What is drawn.
#[derive(Debug)]
pub struct Tree {
    root: Node,
}

impl Tree {
    /// Builds the tree of one class of paths.
    pub fn new(folded: &Folded, class: CallClass) -> Self {
        let narrowest = (folded.total(class) / NARROWEST).max(1);
        let mut open = vec![Node::new(0)];
        for path in folded.paths().iter().filter(|path| path.class == class) {
            let frames = folded.frames(path);
            let shared =
                open[1..].iter().zip(frames).take_while(|(node, frame)| node.name == **frame).count();
            close(&mut open, shared + 1, narrowest);
            open.extend(frames[shared..].iter().map(|frame| Node::new(*frame)));
            end(&mut open, path);
        }
        close(&mut open, 1, narrowest);
        Self { root: open.pop().unwrap_or_else(|| Node::new(0)) }
    }

    /// Weight of the whole.
    pub fn total(&self) -> u128 {
        self.root.weight
    }

    /// Share of the whole that has frames which are not drawn, 0..=1.
    pub fn elided(&self) -> f64 {
        self.root.elided() as f64 / self.root.weight.max(1) as f64
    }

    /// Folded lines with weights divided by `scale`, siblings in name order.
    pub fn lines(&self, folded: &Folded, scale: u64) -> Vec<String> {
        let mut lines = Vec::new();
        let mut path = String::new();
        for child in &self.root.children {
            child.lines(folded, u128::from(scale), &mut path, &mut lines);
        }
        lines
    }
}

impl Node {
    const fn new(name: NameId) -> Self {
        Self { name, weight: 0, own: 0, children: Vec::new() }
    }

    fn drawn_above(&self) -> u128 {
        self.children.iter().map(|child| child.weight).sum()
    }

    fn elided(&self) -> u128 {
        let above: u128 = self.children.iter().map(Self::elided).sum();
        above + (self.weight - self.own - self.drawn_above())
    }

    fn lines(&self, folded: &Folded, scale: u128, path: &mut String, lines: &mut Vec<String>) {
        let before = path.len();
        if before > 0 {
            path.push(';');
        }
        path.push_str(folded.names.get(self.name));
        let bare = (self.weight - self.drawn_above()) / scale;
        if bare > 0 {
            lines.push(format!("{path} {bare}"));
        }
        for child in &self.children {
            child.lines(folded, scale, path, lines);
        }
        path.truncate(before);
    }
}

/// Adds a path's weight to all open nodes; the last one owns it.
fn end(open: &mut [Node], path: &Path) {
    for node in open.iter_mut() {
        node.weight += u128::from(path.weight);
    }
    if let Some(leaf) = open.last_mut() {
        leaf.own += u128::from(path.weight);
    }
}

/// Closes open nodes down to `depth`, keeping those wide enough.
fn close(open: &mut Vec<Node>, depth: usize, narrowest: u128) {
    while open.len() > depth.max(1) {
        let Some(node) = open.pop() else { return };
        if node.weight >= narrowest
            && let Some(parent) = open.last_mut()
        {
            parent.children.push(node);
        }
    }
}
