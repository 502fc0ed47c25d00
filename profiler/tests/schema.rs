//! `docs/summary.schema.json` is what `summary.json` is.
//!
//! In: summaries of sessions made by hand. Out: each keeps the published schema, and the schema allows nothing that none of them has:
//! `BLESS=1` writes it anew. A change of it that takes a field away or changes its type is a new number in `schema`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where its ground is gone")]
#![allow(dead_code, reason = "the scenes are shared with another test")]

#[path = "render/blame.rs"]
mod blame;
#[path = "schema/check.rs"]
mod check;
#[path = "render/disks.rs"]
mod disks;
#[path = "render/peers.rs"]
mod peers;
#[path = "render/scenes.rs"]
mod scenes;
#[path = "render/session.rs"]
mod session;
#[path = "render/waits.rs"]
mod waits;

use std::path::{Path, PathBuf};

use check::{breaches, infer};
use profiler::profile::Profile;
use profiler::profile::deaths::{Death, Sender};
use profiler::profile::rows::{Area, CallBefore, Fault, How, Place};
use profiler::profile::{Pid, Tid};
use profiler::render::{Format, render};
use serde_json::{Value, json};

fn summary(profile: &Profile) -> Value {
    let mut out = Vec::new();
    render(profile, Format::Json, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn published() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/summary.schema.json")
}

/// Summaries that have every kind of row.
fn summaries() -> Vec<Value> {
    let mut all = session::session();
    all.missing_tail = Some("cut".into());
    all.pauses.push((1, 3_000_000_000));
    let sender = Sender::Process { pid: Pid(3), comm: "sh".into(), container: "web".into() };
    let death = Death { sender, signal: 9, after_signal: 15, after_ns: 10, ..Death::default() };
    let fault = Death { sender: Sender::Fault, signal: 11, at_ns: 9, age_ns: 9, ..Death::default() };
    all.crash.faults = faults();
    // Calls that failed, of both kinds that are listed.
    all.slowest.iter_mut().for_each(|call| call.ret = -4);
    let _ = all.deaths.extend(vec![death, fault, Death { exit_code: 3, ..Death::default() }]);
    let profiles = [
        all,
        session::session(),
        waits::waits(),
        disks::disks(),
        blame::blame(),
        peers::peers(),
        scenes::minute(),
        Profile::default(),
    ];
    profiles.iter().map(summary).collect()
}

/// Faults of which all is known, and nothing.
fn faults() -> Vec<Fault> {
    let area = Area { start: 1, end: 9, access: "r-xp".into(), inode: 7, ..Area::default() };
    let call = |ret| CallBefore { nr: 1, ret, ..CallBefore::default() };
    let whole = Fault {
        inside: (Pid(1), Tid(2)),
        signal: 31,
        address: Some(16),
        refused: Some(39),
        registers: vec![1; 17],
        code_in: Place::In(area),
        address_in: Place::Nowhere,
        calls: vec![call(-4), call(4)],
        ..Fault::default()
    };
    vec![whole, Fault { signal: 11, how: How::Killed, ..Fault::default() }]
}

#[test]
fn summaries_keep_the_published_schema_and_it_allows_no_more() {
    let summaries = summaries();
    let Value::Object(inferred) = infer("", &summaries.iter().collect::<Vec<_>>()) else {
        panic!("no object")
    };
    let mut schema = serde_json::Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert(
        "title".into(),
        json!("summary.json of profiler, profiler-summary/2; docs/summary.md says what the fields mean"),
    );
    schema.extend(inferred);
    let found = serde_json::to_string_pretty(&Value::Object(schema)).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(published(), &found).unwrap();
    }
    let text = std::fs::read_to_string(published()).unwrap_or_default();
    assert!(text == found, "docs/summary.schema.json is not what summaries are; BLESS=1 rewrites it");
    let schema: Value = serde_json::from_str(&text).unwrap();
    for summary in &summaries {
        assert_eq!(breaches(&schema, summary), Vec::<String>::new());
    }
}

#[test]
fn a_breach_is_found() {
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(published()).unwrap()).unwrap();
    let mut broken = summaries().remove(0);
    broken["duration_ns"] = json!("long");
    broken["probes"]["syscall"]["rows"][0].as_object_mut().unwrap().remove("total_ns");
    broken["counters"]["forks"] = json!("many");
    broken["something_new"] = json!(1);
    let mut found = breaches(&schema, &broken);
    found.sort();
    assert_eq!(
        found,
        [
            "$.counters.forks is string, not integer",
            "$.duration_ns is string, not integer",
            "$.probes.syscall.rows[] lacks total_ns"
        ]
    );
}
