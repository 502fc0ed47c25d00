//! The picture's tree: nodes too narrow to see are left out before they cost anything.
//!
//! In: sorted paths of [`Folded`]. Out: folded lines of what remains, root → leaf, siblings
//! together, and the weight that was left out. Memory: the nodes kept, in one list from the root on; nothing recurses.

use super::fold::{Folded, Path};
use super::name::NameId;
use super::syscalls::CallClass;

/// A node narrower than this part of the whole is left out: a quarter of a pixel of 1,200.
pub const NARROWEST: u128 = 4800;

/// Bytes that a node takes in an SVG beside its name, which stands in it twice.
const NODE_BYTES: u64 = 320;
/// A character of a name takes at most so many times its bytes: `&` is `&amp;`.
const ESCAPED: u64 = 5;
/// Bytes of all nodes of an SVG: 5 MB less what stands around them.
const NODES_BYTES: u64 = 4_900_000;
/// Bytes of the lines that it is drawn from.
const LINES_BYTES: u64 = 32 << 20;

/// A node that is kept. Its descendants follow it, each with a greater depth.
#[derive(Debug)]
struct Node {
    name: NameId,
    /// Nodes below it; 0: it stands on the root.
    depth: usize,
    weight: u128,
    /// Part of `weight` that ends in this very node.
    own: u128,
    /// Part of `weight` that its children have which are kept.
    above: u128,
}

/// What is drawn.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    total: u128,
    elided: u128,
}

impl Tree {
    /// Builds the tree of one class of paths, as much of it as an SVG may hold.
    pub fn new(folded: &Folded, class: CallClass) -> Self {
        let mut narrowest = (folded.total(class) / NARROWEST).max(1);
        loop {
            let tree = Self::pruned(folded, class, narrowest);
            if tree.fits(folded) || tree.nodes.is_empty() {
                return tree;
            }
            narrowest *= 2;
        }
    }

    /// The tree without nodes that weigh less than `narrowest`.
    fn pruned(folded: &Folded, class: CallClass, narrowest: u128) -> Self {
        let mut growing = Growing { nodes: Vec::new(), open: Vec::new(), narrowest, above: 0, elided: 0 };
        let mut total = 0;
        for path in folded.paths().iter().filter(|path| path.class == class) {
            total += u128::from(path.weight);
            growing.add(path, folded.frames(path));
        }
        growing.close(0);
        let Growing { nodes, above, elided, .. } = growing;
        Self { nodes, total, elided: elided + (total - above) }
    }

    /// Whether an SVG of it, and the lines that it is drawn from, keep their sizes.
    fn fits(&self, folded: &Folded) -> bool {
        let (mut nodes, mut lines, mut path) = (0u64, 0u64, Vec::new());
        for node in &self.nodes {
            let name = folded.names.get(node.name);
            let special = name.bytes().filter(|byte| b"&<>\"'".contains(byte)).count() as u64;
            nodes += NODE_BYTES + 2 * (name.len() as u64 + special * ESCAPED);
            path.truncate(node.depth);
            path.push(path.last().copied().unwrap_or(0) + name.len() as u64 + 1);
            if node.weight > node.above {
                lines += path.last().copied().unwrap_or(0);
            }
        }
        nodes <= NODES_BYTES && lines <= LINES_BYTES
    }

    /// Whether nothing is wide enough.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Weight of the whole.
    pub fn total(&self) -> u128 {
        self.total
    }

    /// Share of the whole that has frames which are not drawn, 0..=1.
    pub fn elided(&self) -> f64 {
        self.elided as f64 / self.total.max(1) as f64
    }

    /// Folded lines with weights divided by `scale`, siblings in name order.
    pub fn lines(&self, folded: &Folded, scale: u64) -> Vec<String> {
        let (mut lines, mut path, mut ends) = (Vec::new(), String::new(), Vec::new());
        for node in &self.nodes {
            ends.truncate(node.depth);
            path.truncate(ends.last().copied().unwrap_or(0));
            if !path.is_empty() {
                path.push(';');
            }
            path.push_str(folded.names.get(node.name));
            ends.push(path.len());
            let bare = (node.weight - node.above) / u128::from(scale);
            if bare > 0 {
                lines.push(format!("{path} {bare}"));
            }
        }
        lines
    }
}

/// A tree as paths are added to it, in their order.
struct Growing {
    nodes: Vec<Node>,
    /// Positions of the nodes of the last path, the root's child first.
    open: Vec<usize>,
    narrowest: u128,
    /// Weight of the kept nodes that stand on the root.
    above: u128,
    elided: u128,
}

impl Growing {
    fn add(&mut self, path: &Path, frames: &[NameId]) {
        let shared =
            self.open.iter().zip(frames).take_while(|(at, frame)| self.nodes[**at].name == **frame).count();
        self.close(shared);
        for (depth, &name) in frames.iter().enumerate().skip(shared) {
            self.open.push(self.nodes.len());
            self.nodes.push(Node { name, depth, weight: 0, own: 0, above: 0 });
        }
        for at in &self.open {
            self.nodes[*at].weight += u128::from(path.weight);
        }
        if let Some(leaf) = self.open.last() {
            self.nodes[*leaf].own += u128::from(path.weight);
        }
    }

    /// Closes open nodes down to `depth`, keeping those wide enough. What stands on a narrow node is narrower, and gone.
    fn close(&mut self, depth: usize) {
        while self.open.len() > depth {
            let Some(at) = self.open.pop() else { return };
            let node = &self.nodes[at];
            if node.weight < self.narrowest {
                self.nodes.truncate(at);
                continue;
            }
            let weight = node.weight;
            self.elided += weight - node.own - node.above;
            match self.open.last() {
                Some(parent) => self.nodes[*parent].above += weight,
                None => self.above += weight,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fold::Folder;
    use super::*;
    use crate::profile::Profile;

    fn folded(paths: &[(&[&str], u64)]) -> Folded {
        let profile = Profile::default();
        let mut folder = Folder::new(&profile);
        for (path, weight) in paths {
            for frame in *path {
                folder.frame(frame);
            }
            folder.end(*weight, CallClass::Work);
        }
        folder.finish()
    }

    #[test]
    fn lines_are_the_paths_and_what_is_narrow_is_counted() {
        let folded = folded(&[
            (&["a", "b", "c"], 6_000),
            (&["a", "b"], 3_000),
            (&["a", "x"], 1),
            (&["d"], 2_000),
            (&["e", "f"], 1),
        ]);
        let tree = Tree::new(&folded, CallClass::Work);
        assert_eq!(tree.lines(&folded, 1), ["a 1", "a;b 3000", "a;b;c 6000", "d 2000"]);
        assert_eq!((tree.total(), tree.elided), (11_002, 2));
    }

    #[test]
    fn a_path_of_a_hundred_thousand_frames_is_no_recursion_and_a_wide_tree_is_cut_to_size() {
        let deep: Vec<String> = (0..100_000).map(|at| format!("f{at}")).collect();
        let deep: Vec<&str> = deep.iter().map(String::as_str).collect();
        let folded_deep = folded(&[(&deep, 7)]);
        let tree = Tree::new(&folded_deep, CallClass::Work);
        assert_eq!(tree.total(), 7);
        let names: Vec<String> = (0..4_000).map(|at| format!("{at:04}{}", "<".repeat(250))).collect();
        let wide: Vec<([&str; 3], u64)> =
            (0..4_000).map(|at| ([&*names[at], &*names[(at + 1) % 4_000], "leaf"], 1)).collect();
        let wide: Vec<(&[&str], u64)> = wide.iter().map(|(path, weight)| (&path[..], *weight)).collect();
        let folded_wide = folded(&wide);
        let tree = Tree::new(&folded_wide, CallClass::Work);
        assert!(tree.fits(&folded_wide), "{} nodes", tree.nodes.len());
        assert_eq!(tree.total(), 4_000);
        assert!(tree.elided() > 0.9, "all siblings are as wide as each other: {}", tree.elided());
    }
}
