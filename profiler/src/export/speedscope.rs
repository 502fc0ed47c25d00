//! speedscope: its JSON file format, for speedscope.app and its command-line tool.
//!
//! In: pictures. Out: one file with a profile for each picture, in one table of frames. The format has no place for
//! remarks: the file's name says target, machine and losses. Its numbers are those of JavaScript: exact up to 2^53.

use std::collections::HashMap;
use std::io::{BufWriter, Write};

use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

use super::graphs::{Graph, graphs};
use super::notes::{loss_line, target};
use crate::probe::Picture;
use crate::profile::Profile;
use crate::render::fold::Folded;
use crate::render::{Rendering, clean, humane};

/// Writes the file.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, picture: Option<Picture>, out: &mut dyn Write) -> anyhow::Result<()> {
    let profile = rendering.profile();
    let graphs = graphs(rendering, picture);
    let (mut frames, mut graph_frames) = (Frames::default(), Vec::new());
    for graph in &graphs {
        graph_frames.push(frames.of(graph.folded()));
    }
    let profiles: Vec<One<'_>> =
        graphs.iter().zip(&graph_frames).map(|(graph, frames)| One { graph, frames }).collect();
    let file = File { profile, frames: &frames.names, profiles: &profiles };
    let mut buffered = BufWriter::new(out);
    serde_json::to_writer(&mut buffered, &file).map_err(std::io::Error::from)?;
    writeln!(buffered)?;
    Ok(buffered.flush()?)
}

/// Frames of all pictures, each name once.
#[derive(Default)]
struct Frames {
    names: Vec<String>,
    index: HashMap<String, u32>,
}

impl Frames {
    /// For each name of a picture its place in the table; only names that paths use.
    fn of(&mut self, folded: &Folded) -> HashMap<u32, u32> {
        let mut places = HashMap::new();
        for path in folded.paths() {
            for &frame in folded.frames(path) {
                places.entry(frame).or_insert_with(|| self.place(folded.names.get(frame)));
            }
        }
        places
    }

    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.index.get(name) {
            return *place;
        }
        let place = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), place);
        place
    }
}

struct File<'f> {
    profile: &'f Profile,
    frames: &'f [String],
    profiles: &'f [One<'f>],
}

impl Serialize for File<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let machine = &self.profile.header.environment;
        let name = format!(
            "{} · {} · Linux {} · {} · {}",
            target(self.profile),
            clean::name(&machine.hostname),
            clean::name(&machine.kernel_release),
            humane::duration(self.profile.duration_ns),
            loss_line(self.profile)
        );
        let mut file = serializer.serialize_struct("File", 6)?;
        file.serialize_field("$schema", "https://www.speedscope.app/file-format-schema.json")?;
        file.serialize_field("exporter", concat!("profiler ", env!("CARGO_PKG_VERSION")))?;
        file.serialize_field("name", &name)?;
        file.serialize_field("activeProfileIndex", &0)?;
        file.serialize_field("shared", &Shared { frames: self.frames })?;
        file.serialize_field("profiles", self.profiles)?;
        file.end()
    }
}

#[derive(serde::Serialize)]
struct Shared<'f> {
    #[serde(serialize_with = "named")]
    frames: &'f [String],
}

#[derive(serde::Serialize)]
struct Frame<'f> {
    name: &'f str,
}

fn named<S: Serializer>(frames: &&[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(frames.iter().map(|name| Frame { name }))
}

/// One picture.
struct One<'f> {
    graph: &'f Graph,
    frames: &'f HashMap<u32, u32>,
}

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (graph, paths) = (self.graph, self.graph.folded().paths());
        let total = paths.iter().map(|path| u128::from(path.weight)).sum::<u128>();
        let mut one = serializer.serialize_struct("One", 7)?;
        one.serialize_field("type", "sampled")?;
        one.serialize_field("name", &format!("{}: {}", graph.picture.name(), graph.title))?;
        one.serialize_field("unit", if graph.unit == "ns" { "nanoseconds" } else { "none" })?;
        one.serialize_field("startValue", &0)?;
        one.serialize_field("endValue", &u64::try_from(total).unwrap_or(u64::MAX))?;
        one.serialize_field("samples", &Samples(self))?;
        one.serialize_field("weights", &Weights(graph.folded()))?;
        one.end()
    }
}

/// The paths, written one by one: together they may be large.
struct Samples<'f>(&'f One<'f>);

impl Serialize for Samples<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (folded, frames) = (self.0.graph.folded(), self.0.frames);
        let mut stack: Vec<u32> = Vec::new();
        let mut sequence = serializer.serialize_seq(Some(folded.paths().len()))?;
        for path in folded.paths() {
            stack.clear();
            stack.extend(folded.frames(path).iter().filter_map(|frame| frames.get(frame)));
            sequence.serialize_element(&stack)?;
        }
        sequence.end()
    }
}

struct Weights<'f>(&'f Folded);

impl Serialize for Weights<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.paths().iter().map(|path| path.weight))
    }
}
