//! `profiler diff` from outside, on recordings whose difference is known.
//!
//! In: captures made by hand. Out: silence where nothing differs, the one call where one does, exit codes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where its ground is gone")]

#[path = "diff/made.rs"]
mod made;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use made::{Made, Random};
use serde_json::Value;

/// Recordings of each kind in the suite.
const SHORT: u64 = 4;

fn profiler(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_profiler")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn diff(before: &str, after: &str) -> Value {
    let output = profiler(&["diff", before, after, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What moved: `(kind, name, quantity, verdict)`.
fn moved(found: &Value) -> Vec<(String, String, String, String)> {
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let rows = found["changes"].as_array().unwrap().iter();
    let moved =
        rows.filter(|row| !["no difference", "too few to tell"].contains(&row["verdict"].as_str().unwrap()));
    moved
        .map(|row| (text(row, "kind"), text(row, "name"), text(row, "quantity"), text(row, "verdict")))
        .collect()
}

fn row<'v>(found: &'v Value, name: &str, quantity: &str) -> &'v Value {
    let mut rows = found["changes"].as_array().unwrap().iter();
    rows.find(|row| row["name"] == name && row["quantity"] == quantity).unwrap()
}

fn path(directory: &Path) -> &str {
    directory.to_str().unwrap()
}

#[test]
fn two_halves_of_a_steady_load_are_silent() {
    steady(1..=SHORT);
}

fn steady(seeds: RangeInclusive<u64>) {
    let directory = tempfile::tempdir().unwrap();
    for seed in seeds {
        let whole =
            Made { seed, seconds: 120, ..Made::default() }.write(&directory.path().join(seed.to_string()));
        let whole = path(&whole);
        let found = diff(&format!("{whole}@..60s"), &format!("{whole}@60s.."));
        assert_eq!(moved(&found), [], "seed {seed}");
        assert!(found["comparisons"].as_u64().unwrap() >= 10, "{found}");
        assert_eq!(found["environment"], serde_json::json!([]));
        assert_eq!(found["before"]["duration_ns"], 60_000_000_000u64);
    }
}

#[test]
fn a_call_slower_by_ten_per_cent_is_found_alone_and_in_both_directions() {
    ten_per_cent(1..=SHORT);
}

fn ten_per_cent(seeds: RangeInclusive<u64>) {
    let directory = tempfile::tempdir().unwrap();
    for seed in seeds {
        let at = |name: &str| directory.path().join(format!("{seed}-{name}"));
        let before = Made { seed, ..Made::default() }.write(&at("before"));
        let slower = BTreeMap::from([(44, 1.1)]);
        let after = Made { seed: seed + 1_000, slower, pid: 200, ..Made::default() }.write(&at("after"));
        let found = diff(path(&before), path(&after));
        let floor = row(&found, "sendto", "usual")["floor"].as_f64().unwrap();
        assert!(floor <= 0.05, "seed {seed}: {floor}");
        let one = |verdict: &str| vec![("call".into(), "sendto".into(), "usual".into(), verdict.into())];
        assert_eq!(moved(&found), one("more"), "seed {seed}");
        let change = row(&found, "sendto", "usual")["change"].as_f64().unwrap();
        assert!((change - 0.1).abs() < 0.03, "seed {seed}: {change}");
        assert_eq!(moved(&diff(path(&after), path(&before))), one("less"), "seed {seed}");
    }
}

#[test]
fn a_call_slower_by_twice_its_stated_floor_is_found_and_no_other() {
    twice_the_floor(1..=SHORT);
}

/// The long series, whose short form the tests above are.
#[test]
#[ignore = "half a minute of CPU; `cargo test -p profiler --test diff -- --ignored` runs it"]
fn silence_in_24_of_24_and_changes_in_20_of_20() {
    steady(1..=24);
    ten_per_cent(1..=20);
    twice_the_floor(1..=20);
}

fn twice_the_floor(seeds: RangeInclusive<u64>) {
    let directory = tempfile::tempdir().unwrap();
    for seed in seeds {
        let at = |name: &str| directory.path().join(format!("{seed}-{name}"));
        let before = Made { seed, ..Made::default() }.write(&at("before"));
        let steady = Made { seed: seed + 500, ..Made::default() }.write(&at("steady"));
        let floor = row(&diff(path(&before), path(&steady)), "read", "usual")["floor"].as_f64().unwrap();
        let slower = BTreeMap::from([(0, 1.0 + 2.0 * floor)]);
        let after = Made { seed: seed + 500, slower, ..Made::default() }.write(&at("after"));
        let found = moved(&diff(path(&before), path(&after)));
        assert_eq!(
            found,
            [("call".into(), "read".into(), "usual".into(), "more".into())],
            "seed {seed}, floor {floor}"
        );
    }
}

#[test]
fn what_came_and_went_is_named_with_what_else_changed() {
    let directory = tempfile::tempdir().unwrap();
    let before = Made { spin: 40, lock: 1.0, label: "labtest (enforce)", ..Made::default() }
        .write(&directory.path().join("before"));
    let after =
        Made { seed: 2, lock: 0.0, label: "unconfined", release: "6.18.5", pid: 7, ..Made::default() }
            .write(&directory.path().join("after"));
    let found = diff(path(&before), path(&after));
    let moved = moved(&found);
    for (kind, name) in [("cpu", "spin_[k]"), ("lock", "spin [aa_lock]")] {
        let gone = (kind.into(), name.into(), "rate".into(), "gone".into());
        assert!(moved.contains(&gone), "{moved:?}");
    }
    let fact = |what: &str| {
        found["environment"].as_array().unwrap().iter().find(|fact| fact["what"] == what).cloned()
    };
    let label = fact("AppArmor profile of web/api").unwrap();
    assert_eq!(
        (&label["before"][0], &label["after"][0]),
        (&"labtest (enforce)".into(), &"unconfined".into())
    );
    assert_eq!(fact("kernel_release").unwrap()["after"][0], "6.18.5");
    let stack = found["stacks"].as_array().unwrap().iter().find(|row| row["picture"] == "cpu").unwrap();
    assert_eq!(stack["stack"], serde_json::json!(["container web", "api", "main_[k]", "spin_[k]"]));
    assert_eq!((stack["before"].as_f64().unwrap().round(), stack["after"].as_f64()), (40.0, Some(0.0)));

    let out = directory.path().join("out");
    let output = profiler(&["diff", path(&before), path(&after), "-o", path(&out)]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("AppArmor profile of web/api: labtest (enforce) → unconfined"), "{text}");
    assert!(text.lines().any(|line| line.contains("spin [aa_lock]") && line.contains("gone")), "{text}");
    let svg = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let (after_width, before_width) = (svg("cpu-diff.svg"), svg("cpu-diff-before.svg"));
    // inferno leaves the mark of kernel code out of titles.
    let titles = |svg: &str| -> Vec<String> {
        let parts = svg.split("<title>").skip(1);
        parts.map(|part| part.split('<').next().unwrap().to_owned()).collect()
    };
    assert!(
        titles(&after_width).iter().all(|title| !title.starts_with("spin ")),
        "{:?}",
        titles(&after_width)
    );
    assert!(titles(&before_width).iter().any(|title| title.starts_with("spin (2,400 samples, ")));
    assert!(after_width.contains("widths of AFTER") && before_width.contains("widths of BEFORE"));
    assert!(out.join("diff.json").is_file());
}

#[test]
fn conditions_answer_by_the_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let before = Made::default().write(&directory.path().join("before"));
    let slower = BTreeMap::from([(44, 1.5)]);
    let after = Made { seed: 9, slower, ..Made::default() }.write(&directory.path().join("after"));
    let code = |before: &Path, after: &Path, conditions: &[&str]| {
        let mut arguments = vec!["diff", path(before), path(after)];
        conditions.iter().for_each(|text| arguments.extend(["--fail-if", *text]));
        let output = profiler(&arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (conditions, expected, said) in [
        (&["usual(sendto) > +20%"][..], 4, "it is +49.6 %"),
        (&["p50(sendto) > +20%"], 4, "it is +"),
        (&["usual(sendto) > +90%"], 0, ""),
        (&["usual(sendto) < -20%"], 0, ""),
        (&["usual(read) > +20%", "usual(read) < -20%"], 0, ""),
        (&["usual(read) > +20%", "usual(sendto) > +20%"], 4, "sendto"),
        (&["usual(read) > +0.1%"], 5, "cannot be decided"),
        (&["usual(nanosleep) > +20%"], 2, "neither recording has"),
        (&["p42(read) > +20%"], 2, "p99(sendto)"),
    ] {
        let (found, stderr) = code(&before, &after, conditions);
        assert_eq!(found, expected, "{conditions:?}: {stderr}");
        assert!(stderr.contains(said), "{conditions:?}: {stderr}");
    }
    // The other way round it is faster.
    assert_eq!(code(&after, &before, &["usual(sendto) < -20%"]).0, 4);
    assert_eq!(code(&after, &before, &["usual(sendto) > +20%"]).0, 0);
}

#[test]
fn a_stretch_is_as_if_nothing_else_had_been_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let slower = BTreeMap::from([(44, 1.5)]);
    let whole =
        Made { seconds: 60, slower, from: 30, ..Made::default() }.write(&directory.path().join("whole"));
    let whole = path(&whole);
    let found = diff(&format!("{whole}@..30s"), &format!("{whole}@30s.."));
    assert_eq!(moved(&found), [("call".into(), "sendto".into(), "usual".into(), "more".into())]);
    let rate = row(&found, "context_switches", "rate");
    assert!((rate["before"].as_f64().unwrap() - 900.0).abs() < 30.0, "{rate}");
    for (stretch, said) in [("@50s..10s", "empty"), ("@70s..80s", "no whole interval"), ("@1..2", "unit")] {
        let output = profiler(&["diff", &format!("{whole}{stretch}"), whole]);
        assert_eq!(output.status.code(), Some(2), "{stretch}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{stretch}: {output:?}");
    }
}

#[test]
fn short_recordings_are_shown_and_not_judged() {
    let directory = tempfile::tempdir().unwrap();
    let short = Made { seconds: 5, ..Made::default() }.write(&directory.path().join("short"));
    let found = diff(path(&short), path(&short));
    assert_eq!((found["comparisons"].as_u64(), moved(&found).len()), (Some(0), 0));
    let text = String::from_utf8(profiler(&["diff", path(&short), path(&short)]).stdout).unwrap();
    assert!(text.contains("Nothing could be compared: each side needs 10 slices"), "{text}");
}

#[test]
fn hostile_names_are_text_and_the_page_is_narrow() {
    let directory = tempfile::tempdir().unwrap();
    let comm = "a;b\n<script>\x1b[31m\u{202e}";
    let before =
        Made { comm, label: comm, spin: 30, ..Made::default() }.write(&directory.path().join("before"));
    let after = Made { comm, label: "x", lock: 3.0, seed: 5, ..Made::default() }
        .write(&directory.path().join("after"));
    let out = directory.path().join("out");
    for arguments in [&["-v", "-o", path(&out)][..], &["--json"]] {
        let arguments: Vec<&str> =
            ["diff", path(&before), path(&after)].iter().chain(arguments).copied().collect();
        let output = profiler(&arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.chars().any(|c| profiler::hostile::acts(c) && c != '\n'), "{text}");
        if !arguments.contains(&"--json") {
            let page = text.lines().filter(|line| !line.starts_with("wrote "));
            assert!(page.clone().all(|line| line.chars().count() <= 100), "{text}");
        }
    }
    for picture in ["cpu-diff.svg", "cpu-diff-before.svg", "lock-diff.svg"] {
        let svg = std::fs::read_to_string(out.join(picture)).unwrap();
        assert!(!svg.contains("<script>"), "{picture}");
        assert!(svg.contains("a:b␊&lt;script&gt;"), "{picture}");
    }
}

#[test]
fn noise_of_the_made_loads_is_noise() {
    let mut random = Random::new(3);
    let values: Vec<f64> = (0..4_000).map(|_| random.normal()).collect();
    let mean = values.iter().sum::<f64>() / 4_000.0;
    let variance = values.iter().map(|value| value * value).sum::<f64>() / 4_000.0;
    assert!(mean.abs() < 0.06 && (variance - 1.0).abs() < 0.08, "{mean} {variance}");
}
