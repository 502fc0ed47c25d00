//! Readers of exports, each written from the format's own specification and not from our writer.
//!
//! In: the bytes of an export. Out: its stacks as folded lines, sorted, so that they can be held against the folded file.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;

/// The fields of one protobuf message: number → values, in order; texts and messages are bytes.
pub struct Fields(Vec<(u64, Field)>);

pub enum Field {
    Integer(u64),
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

impl Fields {
    pub fn of(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Integer(varint(&mut bytes)),
                1 => {
                    let (fixed, rest) = bytes.split_at(8);
                    bytes = rest;
                    Field::Integer(u64::from_le_bytes(fixed.try_into().unwrap()))
                }
                2 => {
                    let length = varint(&mut bytes) as usize;
                    let (inner, rest) = bytes.split_at(length);
                    bytes = rest;
                    Field::Bytes(inner.to_vec())
                }
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    pub fn bytes(&self, number: u64) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter_map(move |(own, field)| match field {
            Field::Bytes(bytes) if *own == number => Some(bytes.as_slice()),
            _ => None,
        })
    }

    pub fn messages(&self, number: u64) -> impl Iterator<Item = Self> {
        self.bytes(number).map(Self::of)
    }

    pub fn integers(&self, number: u64) -> impl Iterator<Item = u64> {
        self.0.iter().filter_map(move |(own, field)| match field {
            Field::Integer(value) if *own == number => Some(*value),
            _ => None,
        })
    }

    pub fn integer(&self, number: u64) -> u64 {
        self.integers(number).last().unwrap_or(0)
    }

    pub fn packed(&self, number: u64) -> Vec<u64> {
        let mut values = Vec::new();
        for mut bytes in self.bytes(number) {
            while !bytes.is_empty() {
                values.push(varint(&mut bytes));
            }
        }
        values
    }
}

/// A pprof file.
pub struct Pprof {
    /// Sample type → its folded lines.
    pub lines: BTreeMap<String, Vec<String>>,
    /// Unit of each sample type.
    pub units: BTreeMap<String, String>,
    /// Key → texts of labels.
    pub labels: BTreeMap<String, Vec<String>>,
    pub comments: Vec<String>,
}

pub fn pprof(gzipped: &[u8]) -> Pprof {
    let mut raw = Vec::new();
    flate2::read::GzDecoder::new(gzipped).read_to_end(&mut raw).unwrap();
    let profile = Fields::of(&raw);
    let strings: Vec<String> =
        profile.bytes(6).map(|text| String::from_utf8(text.to_vec()).unwrap()).collect();
    assert_eq!(strings[0], "", "the first string is empty, says the format");
    let text = |id: u64| strings[id as usize].clone();
    let functions: BTreeMap<u64, String> =
        profile.messages(5).map(|function| (function.integer(1), text(function.integer(2)))).collect();
    let mappings: Vec<u64> = profile.messages(3).map(|mapping| mapping.integer(1)).collect();
    let locations: BTreeMap<u64, String> = profile
        .messages(4)
        .map(|location| {
            assert!(mappings.contains(&location.integer(2)));
            let line = location.messages(4).next().unwrap();
            (location.integer(1), functions[&line.integer(1)].clone())
        })
        .collect();
    let types: Vec<(String, String)> =
        profile.messages(1).map(|kind| (text(kind.integer(1)), text(kind.integer(2)))).collect();
    let mut found = Pprof {
        lines: types.iter().map(|(name, _)| (name.clone(), Vec::new())).collect(),
        units: types.iter().cloned().collect(),
        labels: BTreeMap::new(),
        comments: profile.integers(13).map(text).collect(),
    };
    assert!(types.iter().any(|(name, _)| *name == text(profile.integer(14))), "a default that is no type");
    for sample in profile.messages(2) {
        let frames: Vec<String> = sample.packed(1).iter().rev().map(|id| locations[id].clone()).collect();
        let values = sample.packed(2);
        assert_eq!(values.len(), types.len());
        for ((name, _), value) in types.iter().zip(values).filter(|(_, value)| *value > 0) {
            found.lines.get_mut(name).unwrap().push(format!("{} {value}", frames.join(";")));
        }
        for label in sample.messages(3) {
            let value = match label.integer(2) {
                0 => label.integer(3).to_string(),
                id => text(id),
            };
            found.labels.entry(text(label.integer(1))).or_default().push(value);
        }
    }
    found.lines.values_mut().for_each(|lines| lines.sort());
    found
}

/// A file of OTLP profiles, by `profiles.proto` and `common.proto` of v1development.
#[derive(Default)]
pub struct Otlp {
    /// Sample type → its folded lines.
    pub lines: BTreeMap<String, Vec<String>>,
    pub units: BTreeMap<String, String>,
    /// Of each resource, in order: key → text.
    pub resources: Vec<BTreeMap<String, String>>,
    /// Of the first scope: key → text.
    pub scope: BTreeMap<String, String>,
    /// Key → values of the samples' attributes.
    pub labels: BTreeMap<String, Vec<String>>,
    /// Begin and duration of each profile, in ns.
    pub times: Vec<(u64, u64)>,
}

/// What the tables of the dictionary hold.
struct Dictionary {
    strings: Vec<String>,
    /// Stack → frames, the root first.
    stacks: Vec<Vec<String>>,
    /// Attribute → key and value.
    attributes: Vec<(String, String)>,
}

fn texts(fields: &Fields, number: u64) -> Vec<String> {
    fields.bytes(number).map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
}

/// `KeyValue`s with texts.
fn key_values(fields: &Fields, number: u64) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for pair in fields.messages(number) {
        let value = pair.messages(2).next().unwrap();
        let key = texts(&pair, 1).remove(0);
        assert!(found.insert(key, texts(&value, 1).remove(0)).is_none(), "a key stands twice");
    }
    found
}

impl Dictionary {
    fn of(fields: &Fields) -> Self {
        for table in [1, 2, 3, 4, 6, 7] {
            let first = fields.bytes(table).next().unwrap();
            assert!(first.is_empty(), "the first entry of table {table} must be empty, says the format");
        }
        let strings = texts(fields, 5);
        assert_eq!(strings[0], "");
        let text = |id: u64| strings[id as usize].clone();
        let functions: Vec<String> = fields.messages(3).map(|function| text(function.integer(1))).collect();
        let frame = |location: Fields| {
            let lines: Vec<Fields> = location.messages(3).collect();
            lines.first().map_or_else(String::new, |line| functions[line.integer(1) as usize].clone())
        };
        let locations: Vec<String> = fields.messages(2).map(frame).collect();
        let frames = |stack: Fields| {
            stack.packed(1).iter().rev().map(|location| locations[*location as usize].clone()).collect()
        };
        let value = |pair: Fields| {
            let value = pair.messages(2).next();
            let value = value.map_or_else(String::new, |value| match value.integer(8) {
                0 => value.integer(3).to_string(),
                id => text(id),
            });
            (text(pair.integer(1)), value)
        };
        let attributes = fields.messages(6).map(value).collect();
        Self { stacks: fields.messages(7).map(frames).collect(), attributes, strings }
    }

    fn text(&self, id: u64) -> String {
        self.strings[id as usize].clone()
    }
}

pub fn otlp(bytes: &[u8]) -> Otlp {
    let data = Fields::of(bytes);
    let dictionary = Dictionary::of(&data.messages(2).next().unwrap());
    let mut found = Otlp::default();
    for resource in data.messages(1) {
        found.resources.push(key_values(&resource.messages(1).next().unwrap(), 1));
        let scoped = resource.messages(2).next().unwrap();
        found.scope = key_values(&scoped.messages(1).next().unwrap(), 3);
        for profile in scoped.messages(2) {
            let kind = profile.messages(1).next().unwrap();
            let name = dictionary.text(kind.integer(1));
            found.units.insert(name.clone(), dictionary.text(kind.integer(2)));
            found.times.push((profile.integer(3), profile.integer(4)));
            let lines = found.lines.entry(name).or_default();
            for sample in profile.messages(2) {
                let frames = &dictionary.stacks[sample.integer(1) as usize];
                let values = sample.packed(4);
                assert_eq!(values.len(), 1);
                lines.push(format!("{} {}", frames.join(";"), values[0]));
                for attribute in sample.packed(2) {
                    let (key, value) = dictionary.attributes[attribute as usize].clone();
                    found.labels.entry(key).or_default().push(value);
                }
            }
        }
    }
    found.lines.values_mut().for_each(|lines| lines.sort());
    found
}

/// The profiles of a speedscope file by name.
pub fn speedscope(text: &str) -> BTreeMap<String, Vec<String>> {
    let file: Value = serde_json::from_str(text).unwrap();
    let frames: Vec<&str> =
        list(&file["shared"]["frames"]).iter().map(|f| f["name"].as_str().unwrap()).collect();
    let mut found = BTreeMap::new();
    for profile in list(&file["profiles"]) {
        let (samples, weights) = (list(&profile["samples"]), list(&profile["weights"]));
        assert_eq!((samples.len(), &profile["type"]), (weights.len(), &Value::from("sampled")));
        let line = |(stack, weight): (&Value, &Value)| {
            let names: Vec<&str> = list(stack).iter().map(|at| frames[number(at)]).collect();
            format!("{} {weight}", names.join(";"))
        };
        let mut lines: Vec<String> = samples.iter().zip(weights).map(line).collect();
        let total: u64 = weights.iter().map(|weight| weight.as_u64().unwrap()).sum();
        assert_eq!(profile["endValue"].as_u64().unwrap(), total);
        lines.sort();
        let name = profile["name"].as_str().unwrap().split(':').next().unwrap();
        found.insert(name.to_owned(), lines);
    }
    found
}

/// The threads of a Firefox Profiler file by the name of their picture; weights in ns or samples.
pub fn firefox(text: &str) -> BTreeMap<String, Vec<String>> {
    let file: Value = serde_json::from_str(text).unwrap();
    let mut found = BTreeMap::new();
    for thread in list(&file["threads"]) {
        let strings = list(&thread["stringArray"]);
        let stacks = &thread["stackTable"];
        let (samples, frames, functions) = (&thread["samples"], &thread["frameTable"], &thread["funcTable"]);
        for table in [stacks, samples, frames, functions, &thread["markers"]] {
            columns_are_whole(table);
        }
        let name_of = |node: usize| {
            let frame = number(&stacks["frame"][node]);
            let function = number(&frames["func"][frame]);
            strings[number(&functions["name"][function])].as_str().unwrap()
        };
        let per_unit = if samples["weightType"] == "tracing-ms" { 1e6 } else { 1.0 };
        let mut lines = Vec::new();
        for at in 0..number(&samples["length"]) {
            let mut path = Vec::new();
            let mut node = samples["stack"][at].as_u64();
            while let Some(own) = node {
                path.push(name_of(own as usize));
                node = stacks["prefix"][own as usize].as_u64();
            }
            path.reverse();
            let weight = (samples["weight"][at].as_f64().unwrap() * per_unit).round() as u64;
            lines.push(format!("{} {weight}", path.join(";")));
        }
        lines.sort();
        found.insert(thread["name"].as_str().unwrap().split(':').next().unwrap().to_owned(), lines);
    }
    found
}

fn columns_are_whole(table: &Value) {
    let length = number(&table["length"]);
    for (name, column) in table.as_object().unwrap() {
        if let Some(column) = column.as_array() {
            assert_eq!(column.len(), length, "{name}");
        }
    }
}

pub fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// The rows of a CSV file, cell by cell.
pub fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            letter => cell.push(letter),
        }
    }
    assert!(row.is_empty() && cell.is_empty() && !quoted, "the last line does not end");
    rows
}
