//! Exports: what other tools read is what was measured.
//!
//! In: sessions made by hand, with hostile names, in every format. Out: each format read back by a reader of its specification,
//! its stacks equal to the folded file's line by line, its numbers to the profile's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where its ground is gone")]
#![allow(dead_code, reason = "the scenes are shared with another test")]

#[path = "export/decode.rs"]
mod decode;
#[path = "render/session.rs"]
mod session;
#[path = "render/waits.rs"]
mod waits;

use std::collections::BTreeMap;

use decode::list;
use profiler::format::ExportFormat;
use profiler::hostile::acts;
use profiler::probe::Picture;
use profiler::profile::Profile;
use profiler::render::{Format, Rendering, render};
use serde_json::Value;
use session::session;

fn bytes(profile: &Profile, format: ExportFormat, picture: Option<Picture>) -> Vec<u8> {
    let mut out = Vec::new();
    profiler::export::write(format, &Rendering::new(profile), picture, &mut out).unwrap();
    out
}

fn text(profile: &Profile, format: ExportFormat) -> String {
    String::from_utf8(bytes(profile, format, None)).unwrap()
}

/// The folded lines of a picture, sorted.
fn folded(profile: &Profile, picture: Picture) -> Vec<String> {
    let mut out = Vec::new();
    render(profile, Format::Folded(picture), &mut out).unwrap();
    let mut lines: Vec<String> = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// All pictures with lines, by name.
fn all_folded(profile: &Profile) -> BTreeMap<String, Vec<String>> {
    let pictures = Picture::ALL.iter();
    let lines = pictures.map(|picture| (picture.name().to_owned(), folded(profile, *picture)));
    lines.filter(|(_, lines)| !lines.is_empty()).collect()
}

fn without_empty(mut lines: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    lines.retain(|_, lines| !lines.is_empty());
    lines
}

#[test]
fn pprof_speedscope_firefox_and_otlp_hold_the_folded_lines_exactly() {
    for profile in [session(), waits::waits()] {
        let truth = all_folded(&profile);
        assert!(truth.len() >= 3, "{:?}", truth.keys());
        assert_eq!(without_empty(decode::pprof(&bytes(&profile, ExportFormat::Pprof, None)).lines), truth);
        assert_eq!(without_empty(decode::otlp(&bytes(&profile, ExportFormat::Otlp, None)).lines), truth);
        assert_eq!(without_empty(decode::speedscope(&text(&profile, ExportFormat::Speedscope))), truth);
        assert_eq!(without_empty(decode::firefox(&text(&profile, ExportFormat::Firefox))), truth);
    }
}

#[test]
fn one_picture_may_be_chosen() {
    let profile = session();
    let found = decode::pprof(&bytes(&profile, ExportFormat::Pprof, Some(Picture::Cpu)));
    assert_eq!(found.lines, BTreeMap::from([("cpu".to_owned(), folded(&profile, Picture::Cpu))]));
    assert_eq!(found.units["cpu"], "count");
    let found = decode::otlp(&bytes(&profile, ExportFormat::Otlp, Some(Picture::Cpu)));
    assert_eq!(found.lines, BTreeMap::from([("cpu".to_owned(), folded(&profile, Picture::Cpu))]));
    assert_eq!(found.units["cpu"], "count");
}

#[test]
fn pprof_labels_say_whose_and_on_which_kernel_and_comments_what_is_missing() {
    let mut profile = session();
    profile.header.target.details.push(("pod".into(), "cart-7d9f".into()));
    profile.missing_tail = Some("cut".into());
    let found = decode::pprof(&bytes(&profile, ExportFormat::Pprof, None));
    for (key, value) in [
        ("container", "web"),
        ("process", "api"),
        ("pid", "812"),
        ("pod", "cart-7d9f"),
        ("kernel", "6.18.5"),
        ("class", "idle"),
    ] {
        assert!(found.labels[key].iter().any(|own| own == value), "{key}: {:?}", found.labels[key]);
    }
    assert!(!found.labels.contains_key("thread"), "rows are kept by process");
    let comments = found.comments.join("\n");
    for part in ["target: container web", "missing tail: cut", "lost: 3 ", "lost: 2 calls without room"] {
        assert!(comments.contains(part), "{part}: {comments}");
    }
    assert_eq!(found.units["syscall"], "nanoseconds");
}

#[test]
fn otlp_has_a_resource_for_each_container_and_its_scope_says_what_is_missing() {
    let mut profile = session();
    profile.header.target.details.push(("pod".into(), "cart-7d9f".into()));
    let found = decode::otlp(&bytes(&profile, ExportFormat::Otlp, None));
    let first = &found.resources[0];
    for (key, text) in [
        ("container.name", "web"),
        ("k8s.pod.name", "cart-7d9f"),
        ("os.version", "6.18.5"),
        ("os.type", "linux"),
    ] {
        assert_eq!(first[key], text, "{first:?}");
    }
    for (key, value) in
        [("process.executable.name", "api"), ("process.pid", "812"), ("profiler.class", "idle")]
    {
        assert!(found.labels[key].iter().any(|own| own == value), "{key}: {:?}", found.labels[key]);
    }
    assert_eq!(found.scope["profiler.target"], "container web");
    assert!(found.scope["profiler.lost"].contains("calls without room"), "{:?}", found.scope);
    assert_eq!(found.units["syscall"], "nanoseconds");
    let time = (profile.header.started_unix_s * 1_000_000_000, profile.duration_ns);
    assert!(found.times.iter().all(|own| *own == time), "{:?}", found.times);
}

/// Whether a format is text: of the others, readers of the tests say what they hold.
fn is_text(format: ExportFormat) -> bool {
    !matches!(format, ExportFormat::Pprof | ExportFormat::Otlp)
}

#[test]
fn every_format_says_what_is_lost() {
    let profile = session();
    for format in ExportFormat::ALL.iter().filter(|format| is_text(**format)) {
        let text = text(&profile, *format);
        assert!(text.contains("calls without room for their row"), "{}", format.name());
        assert!(text.contains("container web"), "{}", format.name());
    }
}

#[test]
fn nothing_untrusted_acts_in_any_format_and_an_empty_profile_is_one_too() {
    for profile in [session(), waits::waits(), Profile::default()] {
        for format in ExportFormat::ALL.iter().filter(|format| is_text(**format)) {
            let text = text(&profile, *format);
            let acting = text.chars().find(|c| acts(*c) && !matches!(c, '\n' | '\r'));
            assert_eq!(acting, None, "{}", format.name());
        }
        assert!(!decode::pprof(&bytes(&profile, ExportFormat::Pprof, None)).lines.is_empty());
        let otlp = decode::otlp(&bytes(&profile, ExportFormat::Otlp, None));
        assert!(!otlp.lines.is_empty());
        let texts = otlp.lines.values().flatten().chain(otlp.labels.values().flatten());
        let texts = texts.chain(otlp.resources.iter().flat_map(BTreeMap::values)).chain(otlp.scope.values());
        texts.for_each(|text| assert!(!text.chars().any(acts), "{text:?}"));
    }
}

#[test]
fn a_trace_has_each_slow_call_with_its_parts_and_who_ended_its_waits() {
    let profile = session();
    let trace: Value = serde_json::from_str(&text(&profile, ExportFormat::Trace)).unwrap();
    let events = list(&trace["traceEvents"]);
    let calls: Vec<&Value> = events.iter().filter(|event| event["args"]["wall_ns"].is_u64()).collect();
    assert_eq!(calls.len(), profile.slowest.len());
    assert!(!calls.is_empty());
    for (event, call) in calls.iter().zip(&profile.slowest) {
        assert_eq!((&event["ph"], event["pid"].as_u64()), (&Value::from("X"), Some(u64::from(call.pid.0))));
        assert_eq!((event["dur"].as_f64().unwrap() * 1e3).round() as u64, call.wall_ns);
        let parts = event["args"]["parts_ns"].as_object().unwrap();
        assert_eq!(parts.values().map(|ns| ns.as_u64().unwrap()).sum::<u64>(), call.parts.sum());
    }
    let slices: u64 = events.iter().filter_map(|event| event["args"]["ns"].as_u64()).sum();
    assert_eq!(slices, profile.slowest.iter().map(|call| call.parts.sum()).sum::<u64>());
}

#[test]
fn markers_stand_at_the_true_times_of_slow_calls() {
    let profile = session();
    let file: Value = serde_json::from_str(&text(&profile, ExportFormat::Firefox)).unwrap();
    let markers = &file["threads"][0]["markers"];
    let at = |column: &str, row: usize| (markers[column][row].as_f64().unwrap() * 1e6).round() as u64;
    assert_eq!(markers["length"].as_u64().unwrap() as usize, profile.slowest.len());
    for (row, call) in profile.slowest.iter().enumerate() {
        assert_eq!((at("startTime", row), at("endTime", row)), (call.start_ns, call.start_ns + call.wall_ns));
    }
}

#[test]
fn metrics_count_all_calls_and_end_properly() {
    let profile = session();
    let text = text(&profile, ExportFormat::Openmetrics);
    assert!(text.ends_with("\n# EOF\n"));
    let values = |name: &str| -> Vec<f64> {
        let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines.map(|line| line.rsplit(' ').nth(1).unwrap().parse().unwrap()).collect()
    };
    let calls: u64 = profile.syscall.rows.values().map(|row| row.latency.count()).sum();
    let ns: u64 = profile.syscall.rows.values().map(|row| row.latency.total_ns).sum();
    let counts = values("profiler_syscall_latency_seconds_count");
    assert_eq!(counts.iter().sum::<f64>(), calls as f64);
    assert_eq!((values("profiler_syscall_latency_seconds_sum").iter().sum::<f64>() * 1e9).round() as u64, ns);
    let samples: u64 = profile.cpu.rows.values().map(|row| row.samples).sum();
    assert_eq!(values("profiler_cpu_samples").iter().sum::<f64>(), samples as f64);
    // The end of the recording, seconds since the epoch.
    let at = |line: &str| line.starts_with('#') || line.ends_with(" 1700000010.000");
    assert!(text.lines().all(at), "{text}");
}

#[test]
fn tables_hold_every_row_and_every_stack() {
    let profile = session();
    let rows = decode::csv(&text(&profile, ExportFormat::Csv));
    let (head, rows) = rows.split_first().unwrap();
    assert!(rows.iter().all(|row| row.len() == head.len()));
    let at = |name: &str| head.iter().position(|own| own == name).unwrap();
    let of = |table: &str| rows.iter().filter(move |row| row[0] == table).collect::<Vec<_>>();
    assert_eq!(of("call").len(), profile.syscall.rows.len());
    let read =
        of("call").into_iter().find(|row| row[at("name")] == "read" && row[at("pid")] == "812").unwrap();
    assert_eq!((read[at("count")].as_str(), read[at("container")].as_str()), ("9120", "web"));
    let mut stacks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in of("stack") {
        let line = format!("{} {}", row[at("stack")].trim_start_matches('\''), row[at("total")]);
        stacks.entry(row[at("name")].clone()).or_default().push(line);
    }
    stacks.values_mut().for_each(|lines| lines.sort());
    assert_eq!(stacks, all_folded(&profile));
    // The other table has the same rows.
    let json: Vec<Value> = text(&profile, ExportFormat::Ndjson)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json.len(), rows.len());
    for (object, row) in json.iter().zip(rows) {
        let total = object["total"].as_u64().map_or_else(String::new, |total| total.to_string());
        assert_eq!((object["table"].as_str().unwrap(), total), (row[0].as_str(), row[at("total")].clone()));
    }
}
