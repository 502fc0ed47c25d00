//! Processes that have ended and whose parent does not wait for them.
//!
//! In: a shell that becomes a sleeper while its child ends. Out: the sleeper in flight, and no call of its child.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up fails")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::support::live::Recording;
use crate::support::{Process, can_run, wait_for};

#[test]
fn a_zombie_is_in_no_call() {
    if !can_run("a_zombie_is_in_no_call", &["sh", "sleep"]) {
        return;
    }
    let script = "sleep 0.01 & echo $!; exec sleep 1000";
    let mut parent = Process(
        Command::new("sh").args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap(),
    );
    let mut line = String::new();
    BufReader::new(parent.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let child: u32 = line.trim().parse().unwrap();
    wait_for("the child to be a zombie", || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with('Z').then_some(())
    });
    let recorded = Recording::start(&["--probe", "syscall"]).stop();
    assert_eq!(recorded.in_flight(parent.pid()).len(), 1, "the sleeper is not in flight: nothing is shown");
    assert_eq!(recorded.in_flight(child).len(), 0, "{:#?}", recorded.in_flight(child));
}
