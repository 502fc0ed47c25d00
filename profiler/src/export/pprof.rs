//! pprof: gzipped `profile.proto`, as `go tool pprof` and Pyroscope read it.
//!
//! In: pictures. Out: one profile in which each picture is a sample type, so that `-sample_index=cpu` chooses it. Samples have
//! the labels `container`, `process`, `pid`, `pod`, `class` and `kernel`. Rows are kept by process, so there is no label `thread`. Notes
//! are comments.

use std::collections::HashMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::graphs::{Graph, graphs};
use super::notes::{notes, pod, target};
use super::protobuf::Message;
use crate::probe::Picture;
use crate::profile::{Pid, Profile};
use crate::render::fold::Path;
use crate::render::{Rendering, clean};

/// Fields of `Profile`, by their numbers in `profile.proto`.
mod field {
    pub const SAMPLE_TYPE: u32 = 1;
    pub const SAMPLE: u32 = 2;
    pub const MAPPING: u32 = 3;
    pub const LOCATION: u32 = 4;
    pub const FUNCTION: u32 = 5;
    pub const STRING: u32 = 6;
    pub const TIME_NS: u32 = 9;
    pub const DURATION_NS: u32 = 10;
    pub const COMMENT: u32 = 13;
    pub const DEFAULT_SAMPLE_TYPE: u32 = 14;
}

/// Writes the profile.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, picture: Option<Picture>, out: &mut dyn Write) -> anyhow::Result<()> {
    let graphs = graphs(rendering, picture);
    let mut writer = Writer::new(GzEncoder::new(out, Compression::fast()), rendering.profile());
    writer.types(&graphs)?;
    for (place, graph) in graphs.iter().enumerate() {
        writer.samples(graph, (place, graphs.len()))?;
    }
    writer.end(rendering)?.finish()?;
    Ok(())
}

/// What is being written, field by field.
struct Writer<'p, W: Write> {
    out: W,
    profile: &'p Profile,
    pod: Option<String>,
    strings: HashMap<String, u64>,
    /// Name → location; each location has the function of the same number.
    locations: HashMap<u64, u64>,
    message: Message,
    /// Weights beyond what the format holds.
    cut: u64,
}

impl<'p, W: Write> Writer<'p, W> {
    fn new(out: W, profile: &'p Profile) -> Self {
        let pod = pod(profile);
        let (strings, locations) = (HashMap::new(), HashMap::new());
        let mut writer = Self { out, profile, pod, strings, locations, message: Message::default(), cut: 0 };
        writer.strings.insert(String::new(), 0);
        writer
    }

    /// Writes one field of the profile, which is a message.
    fn field(&mut self, field: u32, inner: &Message) -> anyhow::Result<()> {
        self.message.clear();
        self.message.message(field, inner);
        Ok(self.out.write_all(self.message.bytes())?)
    }

    fn integer(&mut self, field: u32, value: u64) -> anyhow::Result<()> {
        self.message.clear();
        self.message.integer(field, value);
        Ok(self.out.write_all(self.message.bytes())?)
    }

    /// The number of a text, which is written when it is first asked for.
    fn string(&mut self, text: &str) -> u64 {
        if let Some(id) = self.strings.get(text) {
            return *id;
        }
        let id = self.strings.len() as u64;
        self.strings.insert(text.to_owned(), id);
        id
    }

    fn types(&mut self, graphs: &[Graph]) -> anyhow::Result<()> {
        for graph in graphs {
            let unit = if graph.unit == "ns" { "nanoseconds" } else { "count" };
            let (name, unit) = (self.string(graph.picture.name()), self.string(unit));
            let mut inner = Message::default();
            inner.integer(1, name).integer(2, unit);
            self.field(field::SAMPLE_TYPE, &inner)?;
        }
        let first = graphs.first().map_or(0, |graph| self.string(graph.picture.name()));
        self.integer(field::DEFAULT_SAMPLE_TYPE, first)
    }

    fn samples(&mut self, graph: &Graph, (place, of): (usize, usize)) -> anyhow::Result<()> {
        // Names of this picture → locations.
        let mut known: HashMap<u32, u64> = HashMap::new();
        let mut sample = Message::default();
        for path in graph.folded().paths() {
            let frames = graph.folded().frames(path);
            let mut locations = Vec::with_capacity(frames.len());
            // The leaf comes first.
            for &frame in frames.iter().rev() {
                let location = match known.get(&frame) {
                    Some(location) => *location,
                    None => {
                        let location = self.location(graph.folded().names.get(frame))?;
                        known.insert(frame, location);
                        location
                    }
                };
                locations.push(location);
            }
            sample.clear();
            sample.packed(1, locations.into_iter());
            let weight = self.weight(path.weight);
            sample.packed(2, (0..of).map(|at| if at == place { weight } else { 0 }));
            self.labels(path, &mut sample);
            self.field(field::SAMPLE, &sample)?;
        }
        Ok(())
    }

    /// A weight as the format holds it: signed, so nothing above `i64::MAX`.
    fn weight(&mut self, weight: u64) -> u64 {
        let most = i64::MAX as u64;
        self.cut += u64::from(weight > most);
        weight.min(most)
    }

    fn location(&mut self, name: &str) -> anyhow::Result<u64> {
        let name = self.string(name);
        if let Some(location) = self.locations.get(&name) {
            return Ok(*location);
        }
        let id = self.locations.len() as u64 + 1;
        self.locations.insert(name, id);
        let (mut function, mut line, mut location) =
            (Message::default(), Message::default(), Message::default());
        function.integer(1, id).integer(2, name).integer(3, name);
        self.field(field::FUNCTION, &function)?;
        line.integer(1, id);
        location.integer(1, id).integer(2, 1).message(4, &line);
        self.field(field::LOCATION, &location)?;
        Ok(id)
    }

    fn labels(&mut self, path: &Path, sample: &mut Message) {
        let profile = self.profile;
        let kernel = clean::name(&profile.header.environment.kernel_release).into_owned();
        let mut texts = vec![("class", path.class.name().to_owned()), ("kernel", kernel)];
        if let Some(pid) = path.pid {
            let container = profile.processes.container(pid);
            texts.push(("process", clean::name(profile.processes.comm(pid)).into_owned()));
            if !container.is_empty() {
                texts.push(("container", clean::name(container).into_owned()));
                texts.extend(self.pod.clone().map(|pod| ("pod", pod)));
            }
        }
        for (key, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
            let mut label = Message::default();
            label.integer(1, self.string(key)).integer(2, self.string(text));
            sample.message(3, &label);
        }
        if let Some(Pid(pid)) = path.pid {
            let mut label = Message::default();
            label.integer(1, self.string("pid")).integer(3, u64::from(pid));
            sample.message(3, &label);
        }
    }

    /// What is known only now: comments and texts.
    fn end(mut self, rendering: &Rendering<'_>) -> anyhow::Result<W> {
        let profile = self.profile;
        let mut mapping = Message::default();
        // One mapping, whose functions are named: then no reader looks for binaries of its own machine.
        mapping.integer(1, 1).integer(5, self.string(&target(profile))).integer(7, 1);
        self.field(field::MAPPING, &mapping)?;
        self.integer(field::TIME_NS, profile.header.started_unix_s.saturating_mul(1_000_000_000))?;
        self.integer(field::DURATION_NS, profile.duration_ns)?;
        let mut comments: Vec<String> =
            notes(rendering).into_iter().map(|note| format!("{}: {}", note.key, note.text)).collect();
        if self.cut > 0 {
            comments.push(format!("cut: {} weights are above what this format holds", self.cut));
        }
        for comment in comments {
            let comment = self.string(&comment);
            self.integer(field::COMMENT, comment)?;
        }
        let mut texts: Vec<(u64, String)> =
            std::mem::take(&mut self.strings).into_iter().map(|(text, id)| (id, text)).collect();
        texts.sort_unstable();
        for (_, text) in texts {
            self.message.clear();
            self.message.text(field::STRING, &text);
            self.out.write_all(self.message.bytes())?;
        }
        Ok(self.out)
    }
}
