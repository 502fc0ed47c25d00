//! Command names and symbols that attack whoever prints them.
//!
//! In: `workload hostile-name`, whose children bear such names and run a function with such a symbol.
//! Out: nothing of it acts, in no output: not on a terminal, not in folded lines, not in XML, not in JSON.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set its stage up must fail")]

use std::collections::BTreeSet;
use std::fs;

use crate::support::can_run;
use crate::support::live::{Recording, Workload, profiler};
use crate::support::session::acting;
use quick_xml::events::Event;
use serde_json::Value;

/// What the workload's children are called; bytes that are no UTF-8 arrive as replacement characters.
const NAMES: [&str; 9] = [
    "a;b;c;d",
    "x\ny 5\nz 7",
    "\u{1b}[31mred\u{1b}]0;t",
    "<script>alert()",
    "\"'&]]>--><!--",
    "\u{202e}rtl\u{9b}31m",
    "# note\r\t 12",
    "\u{fffd}\u{fffd}\u{fffd}bad",
    "l;o\u{1b}[2Jc<k>",
];

#[test]
fn attacking_names_act_nowhere() {
    if !can_run("attacking_names_act_nowhere", &[]) {
        return;
    }
    let workload = Workload::start(&["hostile-name", "300"]);
    let recording = Recording::start(&["--pid", &workload.pid().to_string(), "-F", "499", "--slow", "5ms"]);
    workload.finish();
    let recorded = recording.stop();
    let report = |format: &[&str]| {
        let mut command = std::process::Command::new(profiler());
        crate::support::output(command.arg("report").arg(recorded.output()).args(format))
    };

    assert_eq!(acting(&recorded.stderr), None, "{:?}", recorded.stderr);
    assert_eq!(acting(&recorded.stdout), None);
    // The attack was really made: every name came in, whole.
    let comms: BTreeSet<&str> = ["syscall", "lock", "cpu"]
        .iter()
        .flat_map(|probe| recorded.summary["probes"][probe]["rows"].as_array().unwrap())
        .map(|row| row["comm"].as_str().unwrap())
        .collect();
    for name in NAMES {
        assert!(comms.contains(name), "{name:?} is not in {comms:?}");
    }

    let text = report(&[]);
    assert_eq!(acting(&text), None, "{text}");
    assert!(text.contains("a;b;c;d") && text.contains("␛[31mred"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert_eq!(acting(&report(&["--format", "json"])), None);

    for probe in ["syscall", "lock", "cpu"] {
        let folded = recorded.file(&format!("{probe}.folded"));
        assert_folded(&folded);
        assert!(folded.contains("l:o␛[2Jc<k>") || probe != "lock", "{folded}");
        let svg = recorded.file(&format!("{probe}.svg"));
        assert_picture(&svg, probe);
    }
    assert_picture(&recorded.file("syscall-heat.svg"), "syscall-heat");
    // The symbol arrived, too; `symbol` replaced what acts before the capture was written.
    for probe in ["cpu", "syscall"] {
        let folded = recorded.file(&format!("{probe}.folded"));
        assert!(folded.contains("sym:bol\u{fffd}[2J<script>\"&\u{fffd}_99"), "{folded}");
    }
}

#[test]
fn an_attacking_target_acts_nowhere() {
    if !can_run("an_attacking_target_acts_nowhere", &[]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let command = dir.path().join("e\u{1b}[31mv;l<b>&\n 7");
    fs::copy("/bin/true", &command).unwrap();
    let comm = "\u{1b}]0;<i>&\u{202e}";
    for target in [&["--comm", comm, "-d", "1s"][..], &["--", command.to_str().unwrap(), "\u{1b}c"]] {
        // Recording::start waits for a recording that is under way; this one may be over by then.
        let mut record = std::process::Command::new(profiler());
        let output = dir.path().join("out");
        record.current_dir(dir.path()).args(["record", "-o", "out"]).args(target);
        let text = crate::support::output(&mut record);
        assert_eq!(acting(&text), None, "{text:?}");
        let summary = fs::read_to_string(output.join("summary.json")).unwrap();
        assert_eq!(acting(&summary), None, "{summary:?}");
        let summary: Value = serde_json::from_str(&summary).unwrap();
        let label = summary["target"]["label"].as_str().unwrap();
        assert!(label.contains('\u{1b}'), "the attack did not arrive: {label:?}");
        for probe in ["syscall", "lock", "cpu"] {
            assert_folded(&fs::read_to_string(output.join(format!("{probe}.folded"))).unwrap());
            assert_picture(&fs::read_to_string(output.join(format!("{probe}.svg"))).unwrap(), probe);
        }
        assert_picture(&fs::read_to_string(output.join("syscall-heat.svg")).unwrap(), "syscall-heat");
        fs::remove_dir_all(output).unwrap();
    }
}

/// Every line is `frame;frame;… weight`, and no character acts.
fn assert_folded(folded: &str) {
    assert_eq!(acting(folded), None, "{folded:?}");
    for line in folded.lines() {
        let (stack, weight) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no weight: {line:?}"));
        assert!(weight.parse::<u64>().is_ok_and(|weight| weight > 0), "{line:?}");
        assert!(stack.split(';').all(|frame| !frame.trim().is_empty()), "an empty frame: {line:?}");
        // inferno takes a number before the weight for another weight.
        let last_word = stack.rsplit(' ').next().unwrap();
        assert!(last_word == stack || last_word.parse::<f64>().is_err(), "two weights: {line:?}");
        assert!(!line.starts_with("# "), "inferno takes it for a comment: {line:?}");
    }
}

/// Well-formed XML whose only script is the flame graph's own.
fn assert_picture(svg: &str, probe: &str) {
    assert_eq!(acting(svg), None, "{probe}.svg");
    let mut reader = quick_xml::Reader::from_str(svg);
    reader.config_mut().check_comments = true;
    let (mut scripts, mut depth) = (0, 0);
    loop {
        let wrong = |error: &dyn std::fmt::Display| -> ! { panic!("{probe}.svg: {error}") };
        match reader.read_event().unwrap_or_else(|error| wrong(&error)) {
            Event::Eof => break,
            Event::End(_) => depth -= 1,
            event @ (Event::Start(_) | Event::Empty(_)) => {
                depth += i32::from(matches!(event, Event::Start(_)));
                let (Event::Start(element) | Event::Empty(element)) = &event else { unreachable!() };
                let name = String::from_utf8_lossy(element.name().as_ref()).into_owned();
                scripts += u32::from(name == "script");
                let allowed =
                    ["svg", "defs", "linearGradient", "stop", "style", "script", "rect", "text", "path"];
                let allowed = allowed.contains(&&*name) || ["g", "title", "a", "tspan"].contains(&&*name);
                assert!(allowed, "{probe}.svg: an element {name}");
                for attribute in element.attributes() {
                    let attribute = attribute.unwrap_or_else(|error| wrong(&error));
                    attribute
                        .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                        .unwrap_or_else(|error| wrong(&error));
                }
            }
            Event::Text(text) => {
                let text = text.decode().unwrap();
                quick_xml::escape::unescape(&text).unwrap_or_else(|error| wrong(&error));
            }
            _ => {}
        }
    }
    assert_eq!(depth, 0, "{probe}.svg is cut");
    assert!(scripts <= 1, "{probe}.svg has {scripts} scripts");
    assert!(svg.trim_end().ends_with("</svg>"), "{probe}.svg");
}
