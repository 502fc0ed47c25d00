//! What shells, `man` and scripts get: completions, manual pages, no colours where none are wanted, redacted reports.
//!
//! In: the built tool, a session made by hand. Out: texts that fit the command line as it is, and reports that hold no secret.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where its ground is gone")]
#![allow(dead_code, reason = "the scenes are shared with another test")]

#[path = "render/session.rs"]
mod session;
#[path = "render/waits.rs"]
mod waits;

use std::process::{Command, Output, Stdio};

use profiler::format::ExportFormat;
use profiler::probe::Picture;
use profiler::profile::{ProbePlan, Profile};
use profiler::redact::redact;
use profiler::render::{Format, Rendering, render};
use session::session;

fn profiler(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_profiler")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn said(arguments: &[&str]) -> String {
    let output = profiler(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_know_every_command_and_format() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = said(&["completions", shell]);
        for word in ["record", "report", "diff", "check", "targets", "fail-if", "no-idle"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
    let bash = said(&["completions", "bash"]);
    for format in ExportFormat::ALL {
        assert!(bash.contains(format.name()), "{}", format.name());
    }
    let mut check = Command::new("bash").args(["-n"]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut check.stdin.take().unwrap(), bash.as_bytes()).unwrap();
    assert!(check.wait().unwrap().success(), "bash does not read it");
}

#[test]
fn each_command_has_a_manual_page_with_its_flags() {
    let whole = said(&["man"]);
    assert!(whole.contains(".TH profiler 1") && whole.contains("diff"), "{whole}");
    for (command, flag) in [
        ("record", "container"),
        ("report", "redact"),
        ("diff", "fail\\-if"),
        ("check", "json"),
        ("targets", "json"),
    ] {
        let page = said(&["man", command]);
        assert!(page.contains(&format!(".TH profiler-{command} 1")), "{page}");
        assert!(page.contains(flag), "{command}: {page}");
    }
}

#[test]
fn nothing_is_coloured_where_it_goes_to_a_file_or_no_colour_is_asked_for() {
    let output = profiler(&["report", "/nowhere", "-vv"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains('\u{1b}'), "{output:?}");
}

/// A session with secrets in every place that may hold one.
fn secretive() -> Profile {
    let mut profile = session();
    let header = &mut profile.header;
    header.arguments = ["record", "--container", "secret-arg", "--pod=secret-arg2"].map(str::to_owned).into();
    header.target.label = "cgroup /secret-cgroup/x".into();
    header.target.details = vec![("image".into(), "secret-registry.corp/api:1".into())];
    header.limits = vec!["too few files on secret-host".into()];
    header.probes.push(ProbePlan { misses: vec!["see /secret-path/a".into()], ..ProbePlan::default() });
    let machine = &mut header.environment;
    machine.hostname = "secret-host".into();
    machine.kernel_build = "gcc (root@secret-builder.corp)".into();
    machine.command_line = "BOOT_IMAGE=/secret-vmlinuz root=UUID=secret-uuid quiet".into();
    machine.other_kprobes = vec!["uprobe /secret-bin:0x10".into()];
    machine.cgroups[0].path = "/secret-cgroup/x".into();
    let calls = profile.slowest.iter_mut().filter(|call| !call.is_user_lock());
    let objects = ["tcp 192.0.2.77:80 → 192.0.2.78:9", "unix /secret-socket"];
    assert_eq!(calls.zip(objects).map(|(call, object)| call.object = object.to_owned()).count(), 2);
    profile.missing_tail = Some("/secret-capture ends".into());
    profile
}

#[test]
fn a_redacted_report_holds_no_secret_in_any_format_and_says_so() {
    let outputs = |profile: &Profile| {
        let mut outputs: Vec<(String, String)> = Vec::new();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let mut formats = vec![Format::Text, Format::Json, Format::Heat];
        formats.extend(
            Picture::ALL.iter().flat_map(|picture| [Format::Folded(*picture), Format::PlainSvg(*picture)]),
        );
        for format in formats {
            let mut out = Vec::new();
            render(profile, format, &mut out).unwrap();
            outputs.push((format!("{format:?}"), text(out)));
        }
        for format in ExportFormat::ALL.iter().filter(|format| **format != ExportFormat::Pprof) {
            let mut out = Vec::new();
            profiler::export::write(*format, &Rendering::new(profile), None, &mut out).unwrap();
            outputs.push((format.name().to_owned(), text(out)));
        }
        outputs
    };
    let mut profile = secretive();
    let open = outputs(&profile);
    redact(&mut profile);
    for ((name, text), (_, before)) in outputs(&profile).iter().zip(&open) {
        for secret in ["secret", "192.0.2.7", "libshop"] {
            assert!(!text.contains(secret), "{name} tells {secret}");
        }
        assert!(text.is_empty() == before.is_empty());
    }
    assert!(
        open.iter().filter(|(_, text)| text.contains("secret-host")).count() > 5,
        "nothing was there to hide"
    );
    let (_, text) = &outputs(&profile)[0];
    assert!(text.contains("redacted: paths") && text.contains("address-1:80 → address-2:9"), "{text}");
    assert!(text.contains("web") && text.contains("api"), "names stay");
}
