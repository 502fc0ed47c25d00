//! `profiler check` on this machine's own kernel: as this user, and as one without rights.
//!
//! In: the running kernel. Out: nothing; a child that drops its user is this test binary itself.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its own functions too")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use profiler::command::check;
use profiler::failure::Failure;
use profiler::plan::trial::PROGRAM;
use profiler::probe::Probe;
use serde_json::Value;

/// A user that owns nothing.
const NOBODY: u32 = 65534;
/// What stands before and after the child's report in its output.
const MARKS: (&str, &str) = ("@@report\n", "@@end\n");

fn report_here(json: bool) -> (Vec<u8>, Result<(), Failure>) {
    let mut out = Vec::new();
    let result = check::run(json, true, &mut out);
    (out, result)
}

/// Prints the report between marks; run by the test below, as another user.
#[test]
#[ignore = "run by a_user_without_rights_gets_a_whole_report"]
fn child() {
    let (report, result) = report_here(true);
    let code = match result {
        Ok(()) => "runs",
        Err(Failure::Privilege(_)) => "privilege",
        Err(_) => "other",
    };
    let mut out = io::stdout().lock();
    write!(out, "\n{}{}{}{code}\n", MARKS.0, String::from_utf8_lossy(&report), MARKS.1).unwrap();
}

/// This test binary's `child`, run as nobody, through a descriptor: the path may be closed to it.
fn report_of_nobody() -> (Value, String) {
    let own = File::open("/proc/self/exe").unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", own.as_raw_fd()));
    command.args(["--exact", "child", "--ignored", "--nocapture"]).current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.gid(NOBODY).uid(NOBODY);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, rest) = text.split_once(MARKS.0).unwrap_or_else(|| panic!("no report: {text} {complaint}"));
    let (report, code) = rest.split_once(MARKS.1).unwrap();
    (serde_json::from_str(report).unwrap(), code.lines().next().unwrap().to_owned())
}

#[test]
fn a_user_without_rights_gets_a_whole_report() {
    let (report, code) = report_of_nobody();
    assert_ne!(report["facts"]["uid"], 0, "the child did not drop root");
    assert_eq!(report["facts"]["capabilities"], 0, "the child kept capabilities");
    assert_eq!(code, "privilege");
    for probe in report["probes"].as_array().unwrap() {
        assert_eq!(probe["mark"], "no", "{probe}");
        assert!(!probe["obstacles"][0]["mend"].as_str().unwrap().is_empty(), "{probe}");
    }
    let states = report["lines"].as_array().unwrap().iter().map(|line| line["state"].as_str().unwrap());
    for state in states.filter(|state| state.contains("unknown")) {
        assert!(state.contains("unknown (") && state.ends_with(')'), "without its reason: {state}");
    }
}

#[test]
fn this_user_gets_a_table_with_a_verdict_for_each_probe() {
    let (out, result) = report_here(false);
    let text = String::from_utf8(out).unwrap();
    let (_, verdict) = text.split_once("\nverdict\n").unwrap();
    let lines: Vec<&str> = verdict.lines().collect();
    assert_eq!(lines.len(), Probe::ALL.len(), "{verdict}");
    let refused = lines.iter().all(|line| line.trim_start().starts_with("no "));
    assert_eq!(refused, matches!(result, Err(Failure::Privilege(_))), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn no_program_stays_loaded() {
    if !rustix::process::geteuid().is_root() {
        writeln!(io::stderr(), "NOT TESTED: listing BPF programs needs root").unwrap();
        return;
    }
    let own = || -> BTreeSet<u32> {
        let programs = aya::programs::loaded_programs().flatten();
        programs.filter(|program| program.name() == PROGRAM.as_bytes()).map(|program| program.id()).collect()
    };
    report_here(true).1.ok();
    // Tests beside this one load and close their own: each id that is there now has to go.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut left = own();
    while !left.is_empty() && Instant::now() < deadline {
        std::thread::yield_now();
        left = left.intersection(&own()).copied().collect();
    }
    assert!(left.is_empty(), "check left programs loaded: {left:?}");
}

/// A reader that goes away in the middle, as `profiler check | head -1` does.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_went_away_changes_nothing() {
    let whole = report_here(false).1.is_ok();
    assert_eq!(check::run(false, false, &mut Closed).is_ok(), whole);
}
