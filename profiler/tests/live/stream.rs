//! A capture that goes to stdout.
//!
//! In: root; `record -o -`. Out: a whole capture on stdout, and no file left anywhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up fails")]

use std::process::{Command, Stdio};

use crate::support::can_run;
use crate::support::live::profiler;
use profiler::capture::read_from;

#[test]
fn a_capture_on_stdout_is_whole_and_nothing_else_is_left() {
    if !can_run("a_capture_on_stdout_is_whole_and_nothing_else_is_left", &[]) {
        return;
    }
    let stage = tempfile::tempdir().unwrap();
    let mut record = Command::new(profiler());
    record.args(["record", "--probe", "syscall", "-q", "-o", "-", "--", "true"]);
    record.current_dir(stage.path()).env("TMPDIR", stage.path()).stdin(Stdio::null());
    let output = record.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let profile = read_from(output.stdout.as_slice(), output.stdout.len() as u64).unwrap();
    assert_eq!(profile.missing_tail, None);
    assert!(!profile.syscall.rows.is_empty(), "`true` makes calls");
    assert_eq!(std::fs::read_dir(stage.path()).unwrap().count(), 0);
}
