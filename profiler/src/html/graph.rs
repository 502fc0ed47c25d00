//! One flame graph as the page holds it: a radix tree, and its weights in each slice of time.
//!
//! In: a tree, weights of its paths by slice. Out: columns. A chain of nodes without a branch and a weight of its own is one node with a
//! run of names: some 1.5 nodes a stack, however deep it is. Weights are sparse: few stacks are in every slice.

use super::column::Column;
use super::trie::Trie;
use crate::probe::Picture;
use crate::render::fold::Folded;
use crate::render::name::{NameId, Names};

/// Weight of a path in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The slice.
    pub slice: u32,
    /// The path; later the node that it ends in.
    pub at: u32,
    /// In the graph's unit.
    pub weight: u64,
}

/// A graph.
pub struct Graph {
    /// What it shows.
    pub picture: Picture,
    trie: Trie,
    cells: Vec<Cell>,
    /// Lighter nodes are folded into those below them.
    pub narrowest: u64,
    stacks: u64,
}

/// Its columns, and what is said of it.
pub struct Coded {
    /// Levels that each node is less deep than the one before; lengths of runs; names; weights' places and their weights.
    pub columns: [Column; 5],
    /// How many nodes there are.
    pub nodes: u32,
    /// Weight of everything.
    pub total: u64,
    /// Weight in no slice: what the capture has no time for.
    pub timeless: u64,
    /// Stacks that end below their own last frames for want of room.
    pub folded: u64,
    /// All stacks.
    pub stacks: u64,
}

impl Graph {
    /// The graph of all paths. `cells` are the weights in each slice; weight that is in no cell has no time,
    /// and goes to slice `slices`.
    pub fn new(picture: Picture, folded: &Folded, names: &mut Names, cells: Vec<Cell>, slices: u32) -> Self {
        let trie = Trie::new(folded, names);
        let mut left: Vec<u64> = vec![0; trie.nodes.len()];
        for (path, end) in folded.paths().iter().zip(&trie.ends) {
            left[*end as usize] = left[*end as usize].saturating_add(path.weight);
        }
        let mut cells: Vec<Cell> = cells
            .into_iter()
            .filter_map(|cell| Some(Cell { at: *trie.ends.get(cell.at as usize)?, ..cell }))
            .collect();
        sum(&mut cells);
        for cell in &mut cells {
            let left = &mut left[cell.at as usize];
            cell.weight = cell.weight.min(*left);
            *left -= cell.weight;
        }
        let timeless = left.iter().enumerate().filter(|(_, weight)| **weight > 0);
        cells.extend(timeless.map(|(at, weight)| Cell { slice: slices, at: at as u32, weight: *weight }));
        Self { picture, trie, cells, narrowest: 1, stacks: folded.paths().len() as u64 }
    }

    /// Weight of everything.
    pub fn total(&self) -> u64 {
        self.trie.nodes.first().map_or(0, |root| root.total)
    }

    /// Counts how many nodes have each name.
    pub fn count_names(&self, counts: &mut Vec<u32>) {
        for node in self.trie.nodes.iter().skip(1).filter(|node| node.total >= self.narrowest) {
            let at = node.name as usize;
            if counts.len() <= at {
                counts.resize(at + 1, 0);
            }
            counts[at] += 1;
        }
    }

    /// Its columns; `number` gives a name's number on the page.
    pub fn code(&self, slices: u32, number: &[NameId]) -> Coded {
        let (target, folded) = self.targets();
        let mut cells: Vec<Cell> =
            self.cells.iter().map(|cell| Cell { at: target[cell.at as usize], ..*cell }).collect();
        sum(&mut cells);
        let (place, tree, nodes) = self.tree(&target, &cells, number);
        let (mut places, mut weights) = (Column::default(), Column::default());
        let mut at = 0;
        for slice in 0..=slices {
            let own = cells[at..].iter().take_while(|cell| cell.slice == slice).count();
            places.push(own as u64);
            let mut last = 0;
            for cell in &cells[at..at + own] {
                let node = place[cell.at as usize];
                places.push(u64::from(node - last));
                weights.push(cell.weight);
                last = node;
            }
            at += own;
        }
        let timeless = self.cells.iter().filter(|cell| cell.slice == slices).map(|cell| cell.weight);
        let timeless = timeless.fold(0, u64::saturating_add);
        let [pops, runs, names] = tree;
        let columns = [pops, runs, names, places, weights];
        Coded { columns, nodes, total: self.total(), timeless, folded, stacks: self.stacks }
    }

    /// For each node the one that is kept and has its weight; how many stacks end below their own last frames.
    fn targets(&self) -> (Vec<u32>, u64) {
        let mut target: Vec<u32> = Vec::with_capacity(self.trie.nodes.len());
        for (at, node) in self.trie.nodes.iter().enumerate() {
            let kept = at == 0 || node.total >= self.narrowest;
            target.push(if kept { at as u32 } else { target[node.parent as usize] });
        }
        let ends = self.trie.ends.iter().zip(&self.trie.cut);
        let folded = ends.filter(|(end, cut)| **cut || target[**end as usize] != **end).count() as u64;
        (target, folded)
    }

    /// The tree's columns, where each kept node that has a weight of its own is in it, and its length.
    fn tree(&self, target: &[u32], cells: &[Cell], number: &[NameId]) -> (Vec<u32>, [Column; 3], u32) {
        let nodes = &self.trie.nodes;
        let mut children = vec![0u32; nodes.len()];
        for (at, node) in nodes.iter().enumerate().skip(1) {
            children[node.parent as usize] += u32::from(target[at] == at as u32);
        }
        let mut is_end = vec![false; nodes.len()];
        cells.iter().for_each(|cell| is_end[cell.at as usize] = true);
        let [mut pops, mut runs, mut names] = [Column::default(), Column::default(), Column::default()];
        let mut place = vec![0u32; nodes.len()];
        let (mut count, mut run, mut levels) = (1u32, 0u64, vec![0u32]);
        for (at, node) in nodes.iter().enumerate().skip(1).filter(|(at, _)| target[*at] == *at as u32) {
            names.push(u64::from(number.get(node.name as usize).copied().unwrap_or(0)));
            run += 1;
            if children[at] == 1 && !is_end[at] {
                continue; // the one above it goes on
            }
            // Depth of the run's first node: where it stands on a node of this tree.
            let below = node.depth - run as u32;
            let deep = levels.len();
            while levels.len() > 1 && levels.last().is_some_and(|depth| *depth > below) {
                levels.pop();
            }
            pops.push((deep - levels.len()) as u64);
            runs.push(run);
            levels.push(node.depth);
            place[at] = count;
            (count, run) = (count + 1, 0);
        }
        (place, [pops, runs, names], count)
    }
}

/// Sorts by slice and node, and sums equal ones.
fn sum(cells: &mut Vec<Cell>) {
    cells.sort_unstable_by_key(|cell| (cell.slice, cell.at));
    cells.dedup_by(|next, kept| {
        let same = (next.slice, next.at) == (kept.slice, kept.at);
        if same {
            kept.weight = kept.weight.saturating_add(next.weight);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::profile::Profile;
    use crate::render::fold::Folder;
    use crate::render::syscalls::CallClass;

    const SLICES: u32 = 5;

    /// Paths as text → weight by slice.
    type Weights = BTreeMap<(String, u32), u64>;

    /// A tree of some hundred paths, what of it was when, and what that is; the last path has a part without a time.
    fn made() -> (Graph, Names, Weights) {
        let profile = Profile::default();
        let mut folder = Folder::new(&profile);
        let mut state = 7u64;
        let mut below = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % end
        };
        for _ in 0..400 {
            for _ in 0..=below(6) {
                folder.frame(["a", "b", "c"][below(3) as usize]);
            }
            folder.end(1_000, CallClass::Work);
        }
        let folded = folder.finish();
        let (mut cells, mut truth) = (Vec::new(), Weights::new());
        for (at, path) in folded.paths().iter().enumerate() {
            let text: Vec<&str> = folded.frames(path).iter().map(|name| folded.names.get(*name)).collect();
            let mut left = path.weight;
            for slice in 0..SLICES {
                let weight = if at % 3 == 0 && slice == 2 { left } else { left.min(below(300)) };
                left -= weight;
                cells.push(Cell { slice, at: at as u32, weight });
                truth.insert((text.join(";"), slice), weight);
            }
            truth.insert((text.join(";"), SLICES), left);
        }
        truth.retain(|_, weight| *weight > 0);
        let mut names = Names::default();
        names.intern("");
        let graph = Graph::new(Picture::Cpu, &folded, &mut names, cells, SLICES);
        (graph, names, truth)
    }

    /// What the columns say, read as the page reads them.
    fn told(coded: &Coded, names: &Names) -> Weights {
        let [pops, runs, frames, places, weights] = coded.columns.each_ref().map(Column::numbers);
        let (mut stack, mut texts, mut frame) = (vec![0usize], vec![String::new()], 0);
        for (pop, run) in pops.iter().zip(&runs) {
            stack.truncate(stack.len() - *pop as usize);
            let mut text = texts[stack[stack.len() - 1]].clone();
            for name in &frames[frame..frame + *run as usize] {
                text.push_str(if text.is_empty() { "" } else { ";" });
                text.push_str(names.get(*name as NameId));
            }
            frame += *run as usize;
            stack.push(texts.len());
            texts.push(text);
        }
        assert_eq!((texts.len() as u32, frame), (coded.nodes, frames.len()));
        let (mut places, mut weights, mut told) = (places.into_iter(), weights.into_iter(), Weights::new());
        for slice in 0..=SLICES {
            let mut node = 0;
            for _ in 0..places.next().unwrap() {
                node += places.next().unwrap();
                told.insert((texts[node as usize].clone(), slice), weights.next().unwrap());
            }
        }
        assert_eq!((places.next(), weights.next()), (None, None));
        told.retain(|_, weight| *weight > 0);
        told
    }

    #[test]
    fn what_is_read_back_is_what_was_measured_in_each_slice() {
        let (graph, names, truth) = made();
        let number: Vec<NameId> = (0..names.len() as NameId).collect();
        let coded = graph.code(SLICES, &number);
        assert_eq!(told(&coded, &names), truth);
        let timeless = truth.iter().filter(|((_, slice), _)| *slice == SLICES).map(|(_, weight)| weight);
        assert_eq!((coded.timeless, coded.folded), (timeless.sum(), 0));
        assert!(coded.timeless > 0 && coded.nodes as usize <= 2 * coded.stacks as usize);
    }

    #[test]
    fn what_has_no_room_is_in_the_frames_below_and_counted() {
        let (mut graph, names, truth) = made();
        let number: Vec<NameId> = (0..names.len() as NameId).collect();
        let whole = graph.code(SLICES, &number);
        graph.narrowest = 2_500;
        let coded = graph.code(SLICES, &number);
        let sum = |weights: &Weights| weights.values().sum::<u64>();
        let told = told(&coded, &names);
        assert_eq!((sum(&told), coded.total), (sum(&truth), whole.total));
        assert!(coded.nodes < whole.nodes && coded.folded > 0, "{} of {}", coded.nodes, whole.nodes);
        let kept: std::collections::BTreeSet<&str> = told.keys().map(|(path, _)| path.as_str()).collect();
        let gone = truth.keys().map(|(path, _)| path.as_str()).filter(|path| !kept.contains(path));
        let gone: std::collections::BTreeSet<&str> = gone.collect();
        assert!(gone.len() as u64 <= coded.folded, "{} stacks, {} said", gone.len(), coded.folded);
    }
}
