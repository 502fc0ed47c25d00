//! Who a pid stands for: processes that rename themselves, pids that are given again.
//!
//! In: shells that change their name, and a pid that the kernel is told to give next. Out: the last name
//! on every row; and a count where one row holds two processes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up fails")]

use std::process::{Command, Stdio};

use crate::support::live::{Recording, profiler, send};
use crate::support::{Process, can_run, skipped, wait_for};

#[test]
fn a_process_that_renames_itself_has_its_last_name() {
    if !can_run("a_process_that_renames_itself_has_its_last_name", &["sh"]) {
        return;
    }
    let recording = Recording::start(&["--probe", "syscall"]);
    let script =
        "read -r _ </proc/self/comm; printf ne:w\\;name >/proc/$$/comm; while :; do sleep 0.05; done";
    let shell = Process(Command::new("sh").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap());
    let comm = || std::fs::read_to_string(format!("/proc/{}/comm", shell.pid())).unwrap();
    wait_for("the shell to have its new name", || (comm() == "ne:w;name\n").then_some(()));
    let recorded = recording.stop();
    let rows = recorded.rows("syscall", shell.pid());
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["comm"] == "ne:w;name"), "{rows:#?}");
}

/// Has the kernel give out this pid next; it may take some tries on a busy machine.
fn sleeper_with(pid: u32) -> Option<Process> {
    for _ in 0..200 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        let process = Process(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap());
        if process.pid() == pid {
            return Some(process);
        }
    }
    None
}

#[test]
fn a_pid_that_is_given_again_is_counted() {
    let test = "a_pid_that_is_given_again_is_counted";
    if !can_run(test, &["sh", "sleep"]) {
        return;
    }
    let recording = Recording::start(&["--probe", "syscall"]);
    let first = Process(Command::new("sh").args(["-c", "read -r _"]).stdin(Stdio::piped()).spawn().unwrap());
    let pid = first.pid();
    let capture = recording.output().join("capture.partial");
    let is_in = |comm: &str| {
        let report =
            Command::new(profiler()).arg("report").arg(&capture).args(["--format", "json"]).output().unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&report.stdout).ok()?;
        let mut rows = summary["probes"]["syscall"]["rows"].as_array()?.iter();
        rows.any(|row| row["pid"] == pid && row["comm"] == comm).then_some(())
    };
    wait_for("its calls in the capture", || is_in("sh"));
    send(pid, "KILL");
    drop(first);
    let Some(second) = sleeper_with(pid) else {
        skipped(test, "this kernel lets nobody choose the next pid, or the machine is too busy");
        return;
    };
    wait_for("the other's calls in the capture", || is_in("sleep"));
    let recorded = recording.stop();
    drop(second);
    assert!(recorded.counted("pid_reused") >= 1, "{:#}", recorded.summary["classes"]);
    assert!(recorded.rows("syscall", pid).iter().all(|row| row["comm"] == "sleep"));
}
