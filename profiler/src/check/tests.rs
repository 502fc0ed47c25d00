//! The report on made-up machines, held against files that `BLESS=1` rewrites.

use std::path::Path;

use super::*;
use crate::machine::Told;
use crate::plan::SpinLocks;
use crate::plan::facts::{Btf, Place};
use crate::plan::tests::{capable, old_kernel, unprivileged};
use crate::plan::trial::Trial;

/// A locked-down kernel without BTF, seen from a user namespace.
fn hostile() -> Facts {
    Facts {
        btf: Btf::Unusable("/sys/kernel/btf/vmlinux does not begin as BTF does".to_owned()),
        lockdown: Told::Is("confidentiality".to_owned()),
        place: Place::UserNamespace,
        seccomp: true,
        load: Trial::Refused(libc::EPERM),
        read_kernel: Trial::Refused(libc::EPERM),
        cpu_clock: Trial::Refused(libc::EPERM),
        spin_locks: SpinLocks::TestAndSet,
        perf_event_max_stack: Told::Is(64),
        perf_event_max_sample_rate: Told::Is(50),
        kptr_restrict: Told::Is(2),
        tracefs: None,
        kprobes: Told::Is(false),
        ..capable()
    }
}

fn machines() -> Vec<(&'static str, Facts)> {
    vec![
        ("capable", capable()),
        ("unprivileged", unprivileged()),
        ("linux-5.10", old_kernel()),
        ("locked-down", hostile()),
    ]
}

fn text(facts: Facts, verbose: bool) -> String {
    let mut out = Vec::new();
    Report::new(facts).write_text(verbose, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_text_of_each_machine_is_as_saved() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, facts) in machines() {
        let file = place.join(format!("check-{name}.txt"));
        let text = text(facts, name == "capable").replace(env!("CARGO_PKG_VERSION"), "VERSION");
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let saved = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, saved, "{} differs; BLESS=1 rewrites it", file.display());
    }
}

#[test]
fn what_is_unknown_says_so_in_one_form_with_its_reason() {
    let mut seen = 0;
    for (_, facts) in machines() {
        for line in Report::new(facts).lines {
            for (at, word) in line.state.match_indices("unknown") {
                assert!(line.state[at + word.len()..].starts_with(" ("), "{line:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 3, "{seen}");
}

#[test]
fn no_line_is_wider_than_a_hundred_columns() {
    for (name, facts) in machines() {
        for line in text(facts, true).lines() {
            assert!(line.chars().count() <= 100, "{name}: {line}");
        }
    }
}

#[test]
fn each_line_that_is_not_well_says_what_helps_or_what_it_means() {
    for (name, facts) in machines() {
        for line in Report::new(facts).lines.iter().filter(|line| line.mark != Mark::Ok) {
            assert!(!line.mend.is_empty() || !line.notes.is_empty(), "{name}: {line:?}");
        }
    }
}

#[test]
fn json_holds_facts_lines_and_a_verdict_for_each_probe() {
    let mut out = Vec::new();
    Report::new(unprivileged()).write_json(&mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["schema"], SCHEMA);
    assert_eq!(json["facts"]["uid"], 65534);
    assert_eq!(json["probes"][0]["probe"], "syscall");
    assert_eq!(json["probes"][0]["mark"], "no");
    assert!(json["probes"][0]["obstacles"][0]["mend"].as_str().unwrap().contains("root"));
}

#[test]
fn only_probes_that_cannot_run_are_refused() {
    assert_eq!(Report::new(capable()).refused(), []);
    let without_types = Report::new(Facts { btf: Btf::Missing, ..capable() });
    assert_eq!(
        without_types.refused(),
        [Probe::Lock, Probe::Offcpu, Probe::Runq, Probe::Block, Probe::Peer, Probe::Crash]
    );
    assert_eq!(Report::new(unprivileged()).refused(), Probe::ALL);
}
