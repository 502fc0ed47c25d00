//! `report.html`: one page that holds the evidence, and lets a reader cut it by time.
//!
//! In: a rendering, and the chunks of its capture twice: once to learn what became of processes, once to
//! learn what happened when. Out: one file that needs nothing else: findings, time line, parts of slow calls,
//! flame graphs, tables. It has at most some 5 MB; if that is not enough, light stacks are folded into the
//! frames below, and the page says how many.

mod column;
mod digest;
mod document;
mod ended;
mod graph;
mod meta;
mod rows;
mod shortened;
mod timed;
mod trie;

use std::io::Write;

use column::Column;
pub use document::viewer_bytes;
pub use ended::Ended;
use graph::{Coded, Graph};
use meta::Meta;
pub use timed::Timed;

use crate::profile::Profile;
use crate::render::fold::Folder;
use crate::render::name::{NameId, Names};
use crate::render::ranked::Ranked;
use crate::render::{Rendering, blocks};

/// Bytes of all columns of graphs: with base64 they take a third more, and 5 MB is the whole file.
const GRAPHS: usize = 3_300_000;

/// A page before it is written.
pub struct Page<'r> {
    rendering: &'r Rendering<'r>,
    ranked: Ranked<'r>,
    timed: Timed<'r>,
}

impl<'r> Page<'r> {
    /// The whole recording; `ended` has seen its chunks, or none where there is no capture.
    pub fn new(rendering: &'r Rendering<'r>, ended: Ended) -> Self {
        let profile: &'r Profile = rendering.profile();
        let ranked = Ranked::new(profile, &mut Folder::new(profile));
        let timed = Timed::new(rendering, &ranked, ended);
        Self { rendering, ranked, timed }
    }

    /// What is told its time: each chunk in order.
    pub fn timed(&mut self) -> &mut Timed<'r> {
        &mut self.timed
    }

    /// Writes it.
    ///
    /// # Errors
    /// What the writer returns.
    pub fn write(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let rendering = self.rendering;
        let (mut meta, packed) = self.packed()?;
        // Last: they make `summary.json`, and nothing of the graphs takes memory any more.
        meta.sections = blocks(rendering)?;
        document::write(&meta, &packed.columns, out)?;
        Ok(out.flush()?)
    }

    /// All but the sections.
    fn packed(mut self) -> std::io::Result<(Meta, Packed)> {
        let slices = self.timed.slices.len() as u32;
        let mut names = Names::default();
        // The number of no name.
        names.intern("");
        let mut graphs = Vec::new();
        for &picture in crate::probe::Picture::ALL {
            let made = self.rendering.made(picture);
            if !made.folded.paths().is_empty() {
                let cells = self.timed.cells(picture);
                graphs.push(Graph::new(picture, &made.folded, &mut names, cells, slices));
            }
        }
        let mut meta = Meta::new(self.rendering, &self.ranked, &self.timed, &mut names);
        let (order, number) = by_frequency(&graphs, &names);
        let mut packed = Packed::default();
        let coded = fit(&mut graphs, slices, &number)?;
        let cut = coded.iter().map(|(coded, _)| coded.folded).fold(0, u64::saturating_add);
        self.rendering.page_cut.set(cut);
        for (graph, (coded, columns)) in graphs.iter().zip(coded) {
            let columns = columns.into_iter().map(|column| packed.add(column)).collect();
            meta.graph(self.rendering, graph, &coded, columns);
        }
        for table in &self.timed.tables.list {
            let column = packed.add(table.code(slices).pack()?);
            meta.table(table, column);
        }
        let all = text(&order, &used(&graphs, &meta, names.len()), &names);
        meta.names(packed.add(Column::text(all).pack()?), &number);
        meta.columns = packed.columns.iter().map(Vec::len).collect();
        Ok((meta, packed))
    }
}

/// Columns of the file.
#[derive(Default)]
struct Packed {
    columns: Vec<Vec<u8>>,
}

impl Packed {
    /// Gives a column its number.
    fn add(&mut self, column: Vec<u8>) -> usize {
        self.columns.push(column);
        self.columns.len() - 1
    }
}

/// Names by how many nodes have them, the most frequent first, and each name's number in that order.
fn by_frequency(graphs: &[Graph], names: &Names) -> (Vec<NameId>, Vec<NameId>) {
    let mut counts = vec![0; names.len()];
    graphs.iter().for_each(|graph| graph.count_names(&mut counts));
    let mut order: Vec<NameId> = (0..names.len() as NameId).collect();
    order.sort_by_key(|name| std::cmp::Reverse(counts[*name as usize]));
    let mut number = vec![0; order.len()];
    for (at, name) in order.iter().enumerate() {
        number[*name as usize] = at as NameId;
    }
    (order, number)
}

/// How often names are still used when light nodes are gone.
fn used(graphs: &[Graph], meta: &Meta, names: usize) -> Vec<u32> {
    let mut counts = vec![0; names];
    graphs.iter().for_each(|graph| graph.count_names(&mut counts));
    meta.stack_names().for_each(|name| counts[name as usize] += 1);
    counts
}

/// Names in their order, a line each; those that nothing uses are empty.
fn text(order: &[NameId], counts: &[u32], names: &Names) -> String {
    let used = |name: &NameId| if counts[*name as usize] > 0 { names.get(*name) } else { "" };
    order.iter().map(used).collect::<Vec<_>>().join("\n")
}

type Fitted = (Coded, Vec<Vec<u8>>);

/// Folds light nodes of the largest graph until all have room.
fn fit(graphs: &mut [Graph], slices: u32, number: &[NameId]) -> std::io::Result<Vec<Fitted>> {
    let code = |graph: &Graph| -> std::io::Result<Fitted> {
        let coded = graph.code(slices, number);
        let columns = coded.columns.iter().map(Column::pack).collect::<Result<_, _>>()?;
        Ok((coded, columns))
    };
    let size = |(_, columns): &Fitted| columns.iter().map(Vec::len).sum::<usize>();
    let mut coded: Vec<Fitted> = graphs.iter().map(code).collect::<Result<_, _>>()?;
    while coded.iter().map(size).sum::<usize>() > GRAPHS {
        let Some(largest) = (0..coded.len()).max_by_key(|at| size(&coded[*at])) else { break };
        let graph = &mut graphs[largest];
        let narrowest = graph.narrowest.saturating_mul(2).max(graph.total() >> 24);
        if graph.narrowest > graph.total() || narrowest == graph.narrowest {
            break;
        }
        graph.narrowest = narrowest;
        coded[largest] = code(graph)?;
    }
    Ok(coded)
}
