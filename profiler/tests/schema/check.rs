//! The schema of `summary.json`: what it is made from, and whether a document keeps it.
//!
//! In: documents. Out: a JSON Schema (draft 2020-12, the part of it that is written here: `type`, `properties`, `required`, `items`,
//! `additionalProperties`), and what a document breaks. Fields may be added, so unknown ones are no breach.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Objects whose keys are names, not fields.
const MAPS: [&str; 17] = [
    "at_end",
    "at_start",
    "blocked_on",
    "by",
    "by_class",
    "counters",
    "details",
    "elided",
    "enders",
    "errors",
    "limits",
    "mitigations",
    "not_told",
    "numbers",
    "on",
    "places",
    "sleep_by",
];

/// A schema that all values keep.
pub fn infer(name: &str, values: &[&Value]) -> Value {
    let kinds: BTreeSet<&str> = values.iter().map(|value| kind(value)).collect();
    let mut schema = Map::new();
    // Every integer is a number.
    let kinds: Vec<&str> =
        kinds.iter().filter(|kind| **kind != "integer" || !kinds.contains("number")).copied().collect();
    match kinds.as_slice() {
        [] => return json!({}),
        [one] => schema.insert("type".into(), json!(one)),
        many => schema.insert("type".into(), json!(many)),
    };
    let objects: Vec<&Map<String, Value>> = values.iter().filter_map(|value| value.as_object()).collect();
    if !objects.is_empty() {
        fields(name, &objects, &mut schema);
    }
    let items: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
    if !items.is_empty() {
        schema.insert("items".into(), infer("", &items));
    }
    Value::Object(schema)
}

fn fields(name: &str, objects: &[&Map<String, Value>], schema: &mut Map<String, Value>) {
    let mut columns: BTreeMap<&String, Vec<&Value>> = BTreeMap::new();
    for (key, value) in objects.iter().flat_map(|object| object.iter()) {
        columns.entry(key).or_default().push(value);
    }
    if MAPS.contains(&name) {
        let values: Vec<&Value> = columns.into_values().flatten().collect();
        schema.insert("additionalProperties".into(), infer("", &values));
        return;
    }
    let always = columns.iter().filter(|(_, values)| values.len() == objects.len());
    schema.insert("required".into(), always.map(|(key, _)| (*key).clone()).collect());
    let properties: Map<String, Value> =
        columns.iter().map(|(key, values)| ((*key).clone(), infer(key, values))).collect();
    schema.insert("properties".into(), Value::Object(properties));
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What a document breaks, each with its place.
pub fn breaches(schema: &Value, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, document, "$", &mut found);
    found
}

fn check(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let allowed: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let own = kind(value);
    let is_number = own == "integer" && allowed.contains(&"number");
    if !allowed.is_empty() && !allowed.contains(&own) && !is_number {
        found.push(format!("{place} is {own}, not {}", allowed.join(" or ")));
    }
    if let Value::Object(object) = value {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        found.extend(
            required.filter(|key| !object.contains_key(*key)).map(|key| format!("{place} lacks {key}")),
        );
        for (key, value) in object {
            let inner = schema["properties"].get(key).or_else(|| schema.get("additionalProperties"));
            inner.into_iter().for_each(|inner| check(inner, value, &format!("{place}.{key}"), found));
        }
    }
    if let (Value::Array(items), Some(inner)) = (value, schema.get("items")) {
        items.iter().for_each(|item| check(inner, item, &format!("{place}[]"), found));
    }
}
