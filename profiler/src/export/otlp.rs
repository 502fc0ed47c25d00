//! OTLP profiles: `ProfilesData` of OpenTelemetry's `profiles/v1development`, which collectors take as a request, too.
//!
//! In: pictures. Out: a resource for each container and one for all else; in each, a profile for each picture. Stacks, functions, texts and
//! attributes stand once in the dictionary. The first entry of every table is empty, so that 0 means "none". Notes are attributes
//! of the scope. EXPERIMENTAL: its schema may still change.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use super::graphs::{Graph, graphs};
use super::notes::{notes, pod};
use super::protobuf::Message;
use crate::probe::Picture;
use crate::profile::{Pid, Profile};
use crate::render::fold::Path;
use crate::render::{Rendering, clean};

/// Tables of the dictionary, by their numbers in `ProfilesDictionary`.
mod table {
    pub const MAPPING: u32 = 1;
    pub const LOCATION: u32 = 2;
    pub const FUNCTION: u32 = 3;
    pub const LINK: u32 = 4;
    pub const STRING: u32 = 5;
    pub const ATTRIBUTE: u32 = 6;
    pub const STACK: u32 = 7;
}

/// Writes the profiles.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, picture: Option<Picture>, out: &mut dyn Write) -> anyhow::Result<()> {
    let profile = rendering.profile();
    let graphs = graphs(rendering, picture);
    let mut dictionary = Dictionary::new();
    let resources: BTreeMap<Owner<'_>, Vec<Message>> = resources(profile, &graphs, &mut dictionary);
    let scope = scope(rendering, dictionary.cut);
    let mut data = Message::default();
    for (owner, profiles) in resources {
        let mut scoped = Message::default();
        scoped.message(1, &scope);
        profiles.iter().for_each(|profile| _ = scoped.message(2, profile));
        let mut resource = Message::default();
        resource.message(1, &owner.resource(profile)).message(2, &scoped);
        data.message(1, &resource);
    }
    data.message(2, &dictionary.message);
    Ok(out.write_all(data.bytes())?)
}

/// Who ran: the first is shown first, so containers come before what is in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner<'p> {
    Container(&'p str),
    Elsewhere,
}

impl<'p> Owner<'p> {
    fn of(profile: &'p Profile, path: &Path) -> Self {
        match path.pid.map_or("", |pid| profile.processes.container(pid)) {
            "" => Self::Elsewhere,
            container => Self::Container(container),
        }
    }

    fn resource(self, profile: &Profile) -> Message {
        let machine = &profile.header.environment;
        let mut resource = Message::default();
        let mut put = |key, text: &str| _ = resource.message(1, &attribute(key, text));
        put("host.name", &clean::name(&machine.hostname));
        put("os.type", "linux");
        put("os.version", &clean::name(&machine.kernel_release));
        if let Self::Container(name) = self {
            put("container.name", &clean::name(name));
            pod(profile).iter().for_each(|pod| put("k8s.pod.name", pod));
        }
        resource
    }
}

/// The profiles of each owner, in the order of the pictures.
fn resources<'p>(
    profile: &'p Profile,
    graphs: &[Graph],
    dictionary: &mut Dictionary,
) -> BTreeMap<Owner<'p>, Vec<Message>> {
    let mut resources: BTreeMap<Owner<'p>, Vec<Message>> = BTreeMap::new();
    for graph in graphs {
        let mut own: BTreeMap<Owner<'p>, Message> = BTreeMap::new();
        // Names of this picture → locations.
        let mut known: HashMap<u32, u64> = HashMap::new();
        for path in graph.folded().paths() {
            let sample = dictionary.sample(profile, graph, path, &mut known);
            let message =
                own.entry(Owner::of(profile, path)).or_insert_with(|| opening(profile, graph, dictionary));
            message.message(2, &sample);
        }
        if own.is_empty() {
            own.insert(Owner::Elsewhere, opening(profile, graph, dictionary));
        }
        own.into_iter().for_each(|(owner, message)| resources.entry(owner).or_default().push(message));
    }
    resources
}

/// A profile of no samples yet.
fn opening(profile: &Profile, graph: &Graph, dictionary: &mut Dictionary) -> Message {
    let unit = if graph.unit == "ns" { "nanoseconds" } else { "count" };
    let (mut kind, mut message) = (Message::default(), Message::default());
    kind.integer(1, dictionary.string(graph.picture.name())).integer(2, dictionary.string(unit));
    message
        .message(1, &kind)
        .fixed(3, profile.header.started_unix_s.saturating_mul(1_000_000_000))
        .integer(4, profile.duration_ns);
    message
}

/// Who wrote it, and what is missing.
fn scope(rendering: &Rendering<'_>, cut: u64) -> Message {
    let mut scope = Message::default();
    scope.text(1, "profiler").text(2, &clean::name(&rendering.profile().header.version));
    let mut texts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    notes(rendering).into_iter().for_each(|note| texts.entry(note.key).or_default().push(note.text));
    if cut > 0 {
        texts.entry("cut").or_default().push(format!("{cut} weights are above what this format holds"));
    }
    // A key stands once, says the format.
    for (key, texts) in texts {
        scope.message(3, &attribute(&format!("profiler.{}", key.replace(' ', "_")), &texts.join("; ")));
    }
    scope
}

/// `KeyValue` with a text.
fn attribute(key: &str, text: &str) -> Message {
    let (mut value, mut attribute) = (Message::default(), Message::default());
    value.text(1, text);
    attribute.text(1, key).message(2, &value);
    attribute
}

/// The dictionary: what stands once, and the number by which all else names it.
struct Dictionary {
    message: Message,
    strings: HashMap<String, u64>,
    /// Name → location, which has the function of the same number.
    locations: HashMap<u64, u64>,
    stacks: HashMap<Vec<u64>, u64>,
    /// Key and value → attribute.
    attributes: HashMap<(u64, Value), u64>,
    /// Weights beyond what the format holds.
    cut: u64,
}

/// The value of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Value {
    Text(u64),
    Integer(u64),
}

impl Dictionary {
    fn new() -> Self {
        let mut message = Message::default();
        let empty = Message::default();
        for table in
            [table::MAPPING, table::LOCATION, table::FUNCTION, table::LINK, table::ATTRIBUTE, table::STACK]
        {
            message.message(table, &empty);
        }
        message.text(table::STRING, "");
        Self {
            message,
            strings: HashMap::from([(String::new(), 0)]),
            locations: HashMap::new(),
            stacks: HashMap::new(),
            attributes: HashMap::new(),
            cut: 0,
        }
    }

    fn string(&mut self, text: &str) -> u64 {
        if let Some(id) = self.strings.get(text) {
            return *id;
        }
        let id = self.strings.len() as u64;
        self.strings.insert(text.to_owned(), id);
        self.message.text(table::STRING, text);
        id
    }

    fn location(&mut self, name: &str) -> u64 {
        let name = self.string(name);
        if let Some(location) = self.locations.get(&name) {
            return *location;
        }
        let id = self.locations.len() as u64 + 1;
        self.locations.insert(name, id);
        let (mut function, mut line, mut location) =
            (Message::default(), Message::default(), Message::default());
        function.integer(1, name).integer(2, name);
        line.integer(1, id);
        location.message(3, &line);
        self.message.message(table::FUNCTION, &function).message(table::LOCATION, &location);
        id
    }

    /// A stack of locations, the leaf first.
    fn stack(&mut self, locations: Vec<u64>) -> u64 {
        if let Some(id) = self.stacks.get(&locations) {
            return *id;
        }
        let id = self.stacks.len() as u64 + 1;
        let mut stack = Message::default();
        stack.packed(1, locations.iter().copied());
        self.message.message(table::STACK, &stack);
        self.stacks.insert(locations, id);
        id
    }

    fn attribute(&mut self, key: &str, value: Value) -> u64 {
        let key = self.string(key);
        if let Some(id) = self.attributes.get(&(key, value)) {
            return *id;
        }
        let id = self.attributes.len() as u64 + 1;
        self.attributes.insert((key, value), id);
        let (mut any, mut attribute) = (Message::default(), Message::default());
        match value {
            Value::Text(text) => any.integer(8, text),
            Value::Integer(number) => any.integer(3, number),
        };
        attribute.integer(1, key).message(2, &any);
        self.message.message(table::ATTRIBUTE, &attribute);
        id
    }

    fn text(&mut self, key: &str, text: &str) -> u64 {
        let text = self.string(text);
        self.attribute(key, Value::Text(text))
    }

    fn sample(
        &mut self,
        profile: &Profile,
        graph: &Graph,
        path: &Path,
        known: &mut HashMap<u32, u64>,
    ) -> Message {
        let mut locations = Vec::new();
        for &frame in graph.folded().frames(path).iter().rev() {
            let name = || graph.folded().names.get(frame);
            locations.push(*known.entry(frame).or_insert_with(|| self.location(name())));
        }
        let mut attributes = vec![self.text("profiler.class", path.class.name())];
        if let Some(pid) = path.pid {
            let name = clean::name(profile.processes.comm(pid));
            let Pid(number) = pid;
            attributes.push(self.text("process.executable.name", &name));
            attributes.push(self.attribute("process.pid", Value::Integer(u64::from(number))));
        }
        let most = i64::MAX as u64;
        self.cut += u64::from(path.weight > most);
        let mut sample = Message::default();
        sample
            .integer(1, self.stack(locations))
            .packed(2, attributes.into_iter())
            .packed(4, std::iter::once(path.weight.min(most)));
        sample
    }
}
