//! Firefox Profiler: its processed format, version 48, for profiler.firefox.com (newer versions upgrade it).
//!
//! In: pictures, the slowest calls. Out: one thread for each picture, and markers for the slowest calls, at their true times, in
//! the first thread. Samples have no time of their own: they stand one behind the other. Notes are extra information of the file.

use std::io::{BufWriter, Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::firefox_tables::{Frames, Functions, Samples, Stacks, Strings, Tables};
use super::graphs::{Graph, graphs};
use super::notes::{notes, target};
use crate::probe::Picture;
use crate::profile::slowest::SlowestCall;
use crate::profile::{Part, Profile};
use crate::render::{Rendering, clean, syscalls, who};

/// Version of the format that is written.
const VERSION: u32 = 48;
/// A marker that has a begin and an end.
const INTERVAL: u32 = 1;

/// Writes the file.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, picture: Option<Picture>, out: &mut dyn Write) -> anyhow::Result<()> {
    let profile = rendering.profile();
    let graphs = graphs(rendering, picture);
    let thread = |(place, graph): (usize, &Graph)| thread(profile, place, graph);
    let file = File {
        meta: meta(rendering),
        libs: [],
        pages: [],
        counters: [],
        threads: graphs.iter().enumerate().map(thread).collect(),
    };
    let mut buffered = BufWriter::new(out);
    serde_json::to_writer(&mut buffered, &file).map_err(std::io::Error::from)?;
    writeln!(buffered)?;
    Ok(buffered.flush()?)
}

#[derive(Serialize)]
struct File {
    meta: Value,
    libs: [(); 0],
    pages: [(); 0],
    counters: [(); 0],
    threads: Vec<Thread>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Thread {
    name: String,
    process_name: String,
    process_type: &'static str,
    is_main_thread: bool,
    process_startup_time: f64,
    process_shutdown_time: Option<f64>,
    register_time: f64,
    unregister_time: Option<f64>,
    paused_ranges: [(); 0],
    pid: String,
    tid: usize,
    samples: Samples,
    markers: Markers,
    stack_table: Stacks,
    frame_table: Frames,
    func_table: Functions,
    string_array: Vec<String>,
    resource_table: Value,
    native_symbols: Value,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Markers {
    data: Vec<Value>,
    name: Vec<usize>,
    start_time: Vec<f64>,
    end_time: Vec<f64>,
    phase: Vec<u32>,
    category: Vec<usize>,
    length: usize,
}

fn meta(rendering: &Rendering<'_>) -> Value {
    let profile = rendering.profile();
    let entries: Vec<Value> = notes(rendering)
        .into_iter()
        .map(|note| json!({ "label": note.key, "format": "string", "value": note.text }))
        .collect();
    let category = |name, color| json!({ "name": name, "color": color, "subcategories": ["Other"] });
    json!({
        "version": 27,
        "preprocessedProfileVersion": VERSION,
        "product": format!("profiler: {}", target(profile)),
        "importedFrom": "profiler",
        "interval": 1,
        "startTime": profile.header.started_unix_s.saturating_mul(1000),
        "profilingStartTime": 0,
        "profilingEndTime": profile.duration_ns as f64 / 1e6,
        "processType": 0,
        "stackwalk": 1,
        "debug": false,
        "symbolicated": true,
        "oscpu": format!("Linux {}", clean::name(&profile.header.environment.kernel_release)),
        "categories": [category("Other", "grey"), category("Kernel", "orange"), category("User", "green")],
        "markerSchema": [schema()],
        "extra": [{ "label": "Recording", "entries": entries }],
    })
}

/// What the Firefox Profiler shows of a marker.
fn schema() -> Value {
    let field = |key: &str, label: &str, format: &str| json!({ "key": key, "label": label, "format": format, "searchable": true });
    let mut data = vec![
        field("who", "process", "string"),
        field("thread", "thread", "string"),
        field("returned", "returned", "string"),
        field("object", "of", "string"),
    ];
    data.extend(Part::ALL.iter().map(|part| field(&format!("{part:?}"), part.name(), "duration")));
    json!({
        "name": "SlowCall",
        "display": ["marker-chart", "marker-table", "timeline-overview"],
        "tooltipLabel": "{marker.data.call} of {marker.data.who}",
        "tableLabel": "{marker.data.call} of {marker.data.who} {marker.data.object}",
        "chartLabel": "{marker.data.call}",
        "data": data,
    })
}

fn thread(profile: &Profile, place: usize, graph: &Graph) -> Thread {
    let mut tables = Tables::new(graph.folded(), graph.unit, profile.duration_ns);
    let markers = if place == 0 { markers(profile, &mut tables.strings) } else { Markers::default() };
    Thread {
        name: format!("{}: {}", graph.picture.name(), graph.title),
        process_name: target(profile),
        process_type: "default",
        // Main threads are those that are shown at first.
        is_main_thread: true,
        process_startup_time: 0.0,
        process_shutdown_time: None,
        register_time: 0.0,
        unregister_time: None,
        paused_ranges: [],
        pid: "0".to_owned(),
        tid: place + 1,
        samples: tables.samples,
        markers,
        stack_table: tables.stacks,
        frame_table: tables.frames,
        func_table: tables.functions,
        string_array: tables.strings.list,
        resource_table: json!({ "lib": [], "name": [], "host": [], "type": [], "length": 0 }),
        native_symbols: json!({ "libIndex": [], "address": [], "name": [], "functionSize": [], "length": 0 }),
    }
}

fn markers(profile: &Profile, strings: &mut Strings) -> Markers {
    let mut markers = Markers::default();
    for call in &profile.slowest {
        let name = syscalls::name(call.nr);
        markers.name.push(strings.id(&name));
        markers.start_time.push(call.start_ns as f64 / 1e6);
        markers.end_time.push(call.start_ns.saturating_add(call.wall_ns) as f64 / 1e6);
        markers.phase.push(INTERVAL);
        markers.category.push(0);
        markers.data.push(payload(profile, call, &name));
        markers.length += 1;
    }
    markers
}

fn payload(profile: &Profile, call: &SlowestCall, name: &str) -> Value {
    let thread = match call.thread.as_str() {
        "" => call.tid.0.to_string(),
        thread => format!("{} {}", clean::name(thread), call.tid.0),
    };
    let mut data = json!({
        "type": "SlowCall",
        "call": name,
        "who": who::with_pid(profile, call.pid),
        "thread": thread,
        "returned": call.ret.to_string(),
        "object": clean::name(&call.named()),
    });
    for part in Part::ALL.iter().filter(|part| call.parts.get(**part) > 0) {
        data[format!("{part:?}")] = json!(call.parts.get(*part) as f64 / 1e6);
    }
    data
}
