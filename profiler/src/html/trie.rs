//! The tree of a graph: paths that begin with the same frames share the nodes of these frames.
//!
//! In: sorted paths of [`Folded`]. Out: nodes in order (each before what stands on it), and for each path the node that it ends in. A
//! node that weighs too little is folded into the one below it before it costs anything. Nothing recurses.

use crate::render::fold::Folded;
use crate::render::name::{NameId, Names};

/// Nodes of a graph at most, 48 MB.
const NODES: usize = 1_500_000;

/// A node; the first one is the root, which has no name.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Its name, a number in the page's names.
    pub name: NameId,
    /// The node that it stands on; the root's is the root.
    pub parent: u32,
    /// Nodes below it.
    pub depth: u32,
    /// Weight of the paths that go through it or end in it.
    pub total: u64,
}

/// A graph's tree.
#[derive(Debug, Default)]
pub struct Trie {
    /// In order: each before what stands on it, siblings by name.
    pub nodes: Vec<Node>,
    /// The node that each path ends in.
    pub ends: Vec<u32>,
    /// Whether each path ends in a node below its own, for want of room.
    pub cut: Vec<bool>,
}

impl Trie {
    /// Of all paths, as many nodes as there is room for.
    pub fn new(folded: &Folded, names: &mut Names) -> Self {
        let mut narrowest = 1u64;
        loop {
            let (trie, over) = Self::pruned(folded, names, narrowest);
            if !over {
                return trie;
            }
            let total = trie.nodes.first().map_or(1, |root| root.total);
            if narrowest > total || narrowest == u64::MAX {
                let paths = folded.paths().len();
                let nodes = trie.nodes.into_iter().take(1).collect();
                return Self { nodes, ends: vec![0; paths], cut: vec![true; paths] };
            }
            narrowest = narrowest.saturating_mul(4).max(total >> 24);
        }
    }

    /// Without nodes lighter than `narrowest`; whether there were too many.
    fn pruned(folded: &Folded, names: &mut Names, narrowest: u64) -> (Self, bool) {
        let mut growing = Growing::new(folded, narrowest);
        for at in 0..folded.paths().len() {
            growing.add(at);
            if growing.trie.nodes.len() > NODES {
                growing.trie.nodes[0].total = growing.total();
                return (growing.trie, true);
            }
        }
        growing.close(0);
        let mut trie = growing.trie;
        let mut known: Vec<Option<NameId>> = Vec::new();
        for node in trie.nodes.iter_mut().skip(1) {
            let own = node.name as usize;
            if known.len() <= own {
                known.resize(own + 1, None);
            }
            node.name = *known[own].get_or_insert_with(|| names.intern(folded.names.get(node.name)));
        }
        (trie, false)
    }
}

/// A tree as paths are added to it, in their order. Names are still the folded ones'.
struct Growing<'f> {
    folded: &'f Folded,
    narrowest: u64,
    trie: Trie,
    /// Nodes of the last path, the root first, each with the first path that goes through it.
    open: Vec<(u32, usize)>,
}

impl<'f> Growing<'f> {
    fn new(folded: &'f Folded, narrowest: u64) -> Self {
        let root = Node { name: 0, parent: 0, depth: 0, total: 0 };
        let trie = Trie { nodes: vec![root], ..Trie::default() };
        Self { folded, narrowest, trie, open: vec![(0, 0)] }
    }

    /// Weight of all paths.
    fn total(&self) -> u64 {
        self.folded.paths().iter().fold(0, |sum: u64, path| sum.saturating_add(path.weight))
    }

    fn add(&mut self, at: usize) {
        let path = self.folded.paths()[at];
        let frames = self.folded.frames(&path);
        let nodes = &self.trie.nodes;
        let open = self.open.iter().skip(1).zip(frames);
        let shared = open.take_while(|((node, _), name)| nodes[*node as usize].name == **name).count();
        self.close(shared + 1);
        for name in &frames[shared..] {
            let parent = self.open.last().map_or(0, |(node, _)| *node);
            let node = self.trie.nodes.len() as u32;
            self.trie.nodes.push(Node { name: *name, parent, depth: self.open.len() as u32, total: 0 });
            self.open.push((node, at));
        }
        let leaf = self.open.last().map_or(0, |(node, _)| *node);
        let total = &mut self.trie.nodes[leaf as usize].total;
        *total = total.saturating_add(path.weight);
        self.trie.ends.push(leaf);
        self.trie.cut.push(false);
    }

    /// Closes open nodes until so many are left; a narrow one is folded into the node below it.
    fn close(&mut self, left: usize) {
        while self.open.len() > left {
            let Some((at, first)) = self.open.pop() else { return };
            let Node { parent, total, .. } = self.trie.nodes[at as usize];
            if at == 0 {
                return;
            }
            if total < self.narrowest {
                self.trie.nodes.truncate(at as usize);
                let ends = self.trie.ends[first..].iter_mut().zip(&mut self.trie.cut[first..]);
                for (end, cut) in ends.filter(|(end, _)| **end >= at) {
                    (*end, *cut) = (parent, true);
                }
            }
            let below = &mut self.trie.nodes[parent as usize].total;
            *below = below.saturating_add(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::render::fold::Folder;
    use crate::render::syscalls::CallClass;

    fn folded(paths: &[(&[&str], u64)]) -> Folded {
        let profile = Profile::default();
        let mut folder = Folder::new(&profile);
        for (path, weight) in paths {
            path.iter().for_each(|frame| {
                folder.frame(frame);
            });
            folder.end(*weight, CallClass::Work);
        }
        folder.finish()
    }

    #[test]
    fn what_is_narrow_ends_in_the_node_below_and_nothing_is_lost() {
        let folded =
            folded(&[(&["a", "b", "c"], 60), (&["a", "b"], 30), (&["a", "x", "y"], 1), (&["d"], 20)]);
        let mut names = Names::default();
        let (trie, _) = Trie::pruned(&folded, &mut names, 1);
        let told: Vec<_> =
            trie.nodes.iter().skip(1).map(|node| (names.get(node.name), node.depth, node.total)).collect();
        assert_eq!(told, [("a", 1, 91), ("b", 2, 90), ("c", 3, 60), ("x", 2, 1), ("y", 3, 1), ("d", 1, 20)]);
        assert_eq!((trie.nodes[0].total, trie.cut), (111, vec![false; 4]));
        let (trie, _) = Trie::pruned(&folded, &mut names, 2);
        let told: Vec<_> = trie.nodes.iter().skip(1).map(|node| (names.get(node.name), node.total)).collect();
        assert_eq!(told, [("a", 91), ("b", 90), ("c", 60), ("d", 20)]);
        assert_eq!((trie.nodes[0].total, trie.ends), (111, vec![2, 3, 1, 4]));
        assert_eq!(trie.cut, [false, false, true, false]);
    }
}
