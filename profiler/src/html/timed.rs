//! What happened when: the rows of each interval, as weights of the graphs' paths and times of the tables'
//! rows.
//!
//! In: a rendering of the whole recording, and its chunks once more. Out: slices of time, of neighbouring
//! intervals, and what is in each. A row that has another name in the whole recording is left out here, and
//! has no time.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::ended::Ended;
use super::graph::Cell;
use super::rows::Tables;
use crate::probe::Picture;
use crate::profile::measured::Measured;
use crate::profile::{Chunk, Profile};
use crate::render::Rendering;
use crate::render::fold::{Folded, Folder};
use crate::render::name::NameId;
use crate::render::pictures::drawing;
use crate::render::ranked::Ranked;

/// Slices at most.
const SLICES: usize = 240;
/// Weights of one graph at most, 96 MB.
const CELLS: usize = 6 << 20;

/// The recording by time.
pub struct Timed<'r> {
    profile: &'r Profile,
    ended: Ended,
    at: usize,
    folder: Folder<'r>,
    hasher: RandomState,
    /// Hashes of the folder's names.
    hashes: Vec<u64>,
    graphs: Vec<Paths>,
    /// Begin and end of each slice, ns since the start.
    pub slices: Vec<(u64, u64)>,
    /// Tables with times.
    pub tables: Tables,
}

/// The paths of one graph by the hash of their names, and their weights.
struct Paths {
    picture: Picture,
    index: HashMap<u64, u32>,
    cells: Vec<Cell>,
}

impl<'r> Timed<'r> {
    /// The whole, with no time yet.
    pub fn new(rendering: &'r Rendering<'_>, ranked: &Ranked<'_>, ended: Ended) -> Self {
        let profile = rendering.profile();
        let mut folder = Folder::new(profile);
        let tables = Tables::new(profile, ranked, &mut folder.classes().borrow_mut());
        let hasher = RandomState::new();
        let graphs = Picture::ALL.iter().filter_map(|picture| {
            let made = rendering.made(*picture);
            let paths = Paths { picture: *picture, index: index(&made.folded, &hasher), cells: Vec::new() };
            (!paths.index.is_empty()).then_some(paths)
        });
        let graphs = if ended.intervals > 0 { graphs.collect() } else { Vec::new() };
        Self { profile, ended, at: 0, folder, hasher, hashes: Vec::new(), graphs, slices: Vec::new(), tables }
    }

    /// Sees a chunk.
    pub fn look(&mut self, chunk: Chunk) {
        let Chunk::Interval(mut interval) = chunk else { return };
        interval.rekey(&self.ended.keys(self.at));
        let each = self.ended.intervals.div_ceil(SLICES).max(1);
        let slice = self.at / each;
        match self.slices.get_mut(slice) {
            Some((_, end)) => *end = interval.end_ns.max(*end),
            None => self.slices.push((interval.start_ns, interval.end_ns)),
        }
        self.at += 1;
        let measured = Measured::from(&*interval);
        self.tables.add(self.profile, measured, slice as u32);
        for at in 0..self.graphs.len() {
            self.graph(at, measured, slice as u32);
        }
    }

    fn graph(&mut self, at: usize, measured: Measured<'_>, slice: u32) {
        let Self { folder, hasher, hashes, graphs, .. } = self;
        let Paths { picture, index, cells } = &mut graphs[at];
        (drawing(*picture).fold)(measured, folder);
        folder.drain(&mut |spelled, frames, weight| {
            for name in hashes.len()..frames.iter().map(|name| *name as usize + 1).max().unwrap_or(0) {
                hashes.push(hasher.hash_one(spelled.names.get(name as NameId)));
            }
            let hash = frames.iter().fold(0, |hash, name| mixed(hash, hashes[*name as usize]));
            if let Some(path) = index.get(&hash).filter(|_| cells.len() < CELLS) {
                cells.push(Cell { slice, at: *path, weight: weight.weight });
            }
        });
    }

    /// The weights of a graph's paths; taken once.
    pub fn cells(&mut self, picture: Picture) -> Vec<Cell> {
        let graph = self.graphs.iter_mut().find(|graph| graph.picture == picture);
        graph.map(|graph| std::mem::take(&mut graph.cells)).unwrap_or_default()
    }
}

fn mixed(hash: u64, name: u64) -> u64 {
    (hash.rotate_left(5) ^ name).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn index(folded: &Folded, hasher: &RandomState) -> HashMap<u64, u32> {
    let mut hashes: HashMap<NameId, u64> = HashMap::new();
    let mut index = HashMap::with_capacity(folded.paths().len());
    for (at, path) in folded.paths().iter().enumerate() {
        let hash = folded.frames(path).iter().fold(0, |hash, name| {
            let own = *hashes.entry(*name).or_insert_with(|| hasher.hash_one(folded.names.get(*name)));
            mixed(hash, own)
        });
        index.entry(hash).or_insert(at as u32);
    }
    index
}
