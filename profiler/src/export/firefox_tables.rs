//! The tables of one thread of a Firefox Profiler file, column by column, as version 48 of its processed format names them.
//!
//! In: folded paths, markers. Out: serde values. The column of a table that this exporter does not use is null in every row.

use std::collections::HashMap;

use serde::Serialize;

use crate::render::fold::Folded;

/// Strings of a thread, each once.
#[derive(Debug, Default)]
pub struct Strings {
    /// By number.
    pub list: Vec<String>,
    index: HashMap<String, usize>,
}

impl Strings {
    /// The number of a string.
    pub fn id(&mut self, text: &str) -> usize {
        if let Some(id) = self.index.get(text) {
            return *id;
        }
        let id = self.list.len();
        self.list.push(text.to_owned());
        self.index.insert(text.to_owned(), id);
        id
    }
}

/// What each sample has.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Samples {
    /// Its leaf in the table of stacks.
    pub stack: Vec<usize>,
    /// Where it is drawn, ms: one behind the other. Weights are sums over the recording and have no time.
    pub time: Vec<f64>,
    /// Its weight: ms, or samples.
    pub weight: Vec<f64>,
    /// `tracing-ms` or `samples`.
    pub weight_type: &'static str,
    /// Rows.
    pub length: usize,
}

/// The tree of stacks: a node is a frame on top of its prefix.
#[derive(Debug, Default, Serialize)]
pub struct Stacks {
    frame: Vec<usize>,
    prefix: Vec<Option<usize>>,
    category: Vec<usize>,
    subcategory: Vec<usize>,
    length: usize,
}

/// Frames: one for each function.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Frames {
    func: Vec<usize>,
    address: Vec<i64>,
    inline_depth: Vec<u32>,
    category: Vec<usize>,
    subcategory: Vec<usize>,
    native_symbol: Vec<Option<usize>>,
    #[serde(rename = "innerWindowID")]
    inner_window_id: Vec<u32>,
    implementation: Vec<Option<usize>>,
    line: Vec<Option<u32>>,
    column: Vec<Option<u32>>,
    length: usize,
}

/// Functions.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Functions {
    name: Vec<usize>,
    #[serde(rename = "isJS")]
    is_js: Vec<bool>,
    #[serde(rename = "relevantForJS")]
    relevant_for_js: Vec<bool>,
    resource: Vec<i64>,
    file_name: Vec<Option<usize>>,
    line_number: Vec<Option<u32>>,
    column_number: Vec<Option<u32>>,
    length: usize,
}

/// Categories of frames, by their place in the file's list.
pub mod category {
    /// Processes, calls, locks, remarks.
    pub const OTHER: usize = 0;
    /// Kernel code.
    pub const KERNEL: usize = 1;
    /// User code.
    pub const USER: usize = 2;
}

/// All tables of one thread.
#[derive(Debug, Default)]
pub struct Tables {
    /// Strings.
    pub strings: Strings,
    /// Samples.
    pub samples: Samples,
    /// Stacks.
    pub stacks: Stacks,
    /// Frames.
    pub frames: Frames,
    /// Functions.
    pub functions: Functions,
}

impl Tables {
    /// Of a picture; its total is spread over `duration_ns` of the time line.
    pub fn new(folded: &Folded, unit: &str, duration_ns: u64) -> Self {
        let is_time = unit == "ns";
        let total: f64 = folded.paths().iter().map(|path| path.weight as f64).sum();
        let mut tables = Self::default();
        tables.samples.weight_type = if is_time { "tracing-ms" } else { "samples" };
        let mut functions: HashMap<u32, usize> = HashMap::new();
        // Paths are sorted: each shares a beginning with the one before.
        let mut open: Vec<(u32, usize)> = Vec::new();
        let mut before = 0.0;
        for path in folded.paths() {
            let frames = folded.frames(path);
            let shared = open.iter().zip(frames).take_while(|((name, _), frame)| name == *frame).count();
            open.truncate(shared);
            for &frame in &frames[shared..] {
                let function =
                    *functions.entry(frame).or_insert_with(|| tables.function(folded.names.get(frame)));
                let node = tables.node(function, open.last().map(|(_, node)| *node));
                open.push((frame, node));
            }
            let Some((_, leaf)) = open.last() else { continue };
            let samples = &mut tables.samples;
            samples.stack.push(*leaf);
            samples.time.push(before / total.max(1.0) * duration_ns as f64 / 1e6);
            samples.weight.push(if is_time { path.weight as f64 / 1e6 } else { path.weight as f64 });
            samples.length += 1;
            before += path.weight as f64;
        }
        tables
    }

    fn function(&mut self, name: &str) -> usize {
        let category = match name {
            name if name.ends_with("_[k]") => category::KERNEL,
            name if name.starts_with(['[', '-']) || name.ends_with([')', ']']) => category::OTHER,
            _ => category::USER,
        };
        let name = self.strings.id(name);
        let (functions, frames) = (&mut self.functions, &mut self.frames);
        functions.name.push(name);
        functions.is_js.push(false);
        functions.relevant_for_js.push(false);
        functions.resource.push(-1);
        functions.file_name.push(None);
        functions.line_number.push(None);
        functions.column_number.push(None);
        functions.length += 1;
        frames.func.push(frames.length);
        frames.address.push(-1);
        frames.inline_depth.push(0);
        frames.category.push(category);
        frames.subcategory.push(0);
        frames.native_symbol.push(None);
        frames.inner_window_id.push(0);
        frames.implementation.push(None);
        frames.line.push(None);
        frames.column.push(None);
        frames.length += 1;
        frames.length - 1
    }

    fn node(&mut self, frame: usize, prefix: Option<usize>) -> usize {
        let category = self.frames.category.get(frame).copied().unwrap_or(category::OTHER);
        let stacks = &mut self.stacks;
        stacks.frame.push(frame);
        stacks.prefix.push(prefix);
        stacks.category.push(category);
        stacks.subcategory.push(0);
        stacks.length += 1;
        stacks.length - 1
    }
}
