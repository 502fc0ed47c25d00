//! User stacks of code without frame pointers, unwound by tables, against a program whose stack is known.
//!
//! In: root. Out: every sample and slow call with its whole stack, in order, from `_start` on; the same again offline.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use std::process::Command;

use crate::support::live::{Recorded, Recording, Workload, profiler};
use crate::support::{can_run, wait_for};

/// The callers that only tables tell, from the root on.
const CALLERS: [&str; 4] = [
    "frameless_outer",
    "workload::frameless::frameless_middle",
    "frameless_inner",
    "workload::frameless::frameless_leaf",
];
const BURN: &str = "workload::frameless::frameless_burn";
const SLEEP: &str = "workload::frameless::frameless_sleep";

/// The lines of a folded file: (frames from the root on, weight).
fn folded(text: &str) -> Vec<(Vec<String>, u64)> {
    let line = |line: &str| {
        let (path, weight) = line.rsplit_once(' ').unwrap();
        (path.split(';').map(str::to_owned).collect(), weight.parse().unwrap())
    };
    text.lines().map(line).collect()
}

/// Whether a stack has these frames one after the other.
fn has(frames: &[String], wanted: &[&str]) -> bool {
    frames
        .windows(wanted.len())
        .any(|window| window.iter().zip(wanted).all(|(frame, wanted)| frame == wanted))
}

/// Weight of the stacks that have all callers and this leaf, of those that begin at the root, and of all.
fn weights(lines: &[(Vec<String>, u64)], leaf: &str) -> (u64, u64, u64) {
    let wanted: Vec<&str> = CALLERS.iter().copied().chain([leaf]).collect();
    let of = |holds: &dyn Fn(&[String]) -> bool| -> u64 {
        lines.iter().filter(|(frames, _)| holds(frames)).map(|(_, weight)| weight).sum()
    };
    let through = |frames: &[String]| frames.iter().any(|frame| frame == leaf);
    let rooted = |frames: &[String]| {
        let root = frames.iter().position(|frame| frame == "_start");
        root.is_some_and(|root| frames[..root].iter().all(|frame| !frame.contains("unknown")))
            && has(frames, &wanted)
    };
    (of(&|frames| has(frames, &wanted)), of(&rooted), of(&through))
}

fn record(options: &[&str]) -> Recorded {
    let mut workload = Workload::start(&["--linger", "frameless", "700", "8", "20"]);
    let pid = workload.pid().to_string();
    let probes = ["--pid", &pid, "--probe", "cpu,syscall,offcpu", "-F", "499"];
    let recording = Recording::start(&[&probes, options].concat());
    workload.go();
    workload.report();
    recording.stop()
}

#[test]
fn code_without_frame_pointers_has_its_whole_stack_from_the_root_and_again_offline() {
    if !can_run("code_without_frame_pointers_has_its_whole_stack_from_the_root_and_again_offline", &[]) {
        return;
    }
    let recorded = record(&[]);
    for (picture, leaf) in [("cpu", BURN), ("syscall", SLEEP), ("offcpu", SLEEP)] {
        let text = recorded.file(&format!("{picture}.folded"));
        let (with_callers, rooted, all) = weights(&folded(&text), leaf);
        println!("{picture}: {with_callers} with callers, {rooted} from the root, of {all}");
        assert!(all > 0, "{picture}: no stack through {leaf}:\n{text}");
        assert!(with_callers * 100 >= all * 99 && rooted * 100 >= all * 99, "{picture}:\n{text}");
        let again = Command::new(profiler())
            .args(["report", "--format", "folded", "--probe", picture])
            .arg(recorded.output())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&again.stdout), text, "{picture} again, from the capture alone");
    }
    // A stack that was unwound before is known again, and not copied.
    let (copied, known) = (recorded.counted("stack_copied"), recorded.counted("stack_known"));
    assert!(copied > 0 && copied + known > 100, "{copied} copied, {known} known: {}", recorded.stderr);
}

/// The number of the call that a process's first thread is in.
fn call_of(pid: u32) -> Option<i64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    text.split(' ').next()?.parse().ok()
}

#[test]
fn a_thread_that_sleeps_through_the_recording_has_its_whole_stack() {
    if !can_run("a_thread_that_sleeps_through_the_recording_has_its_whole_stack", &[]) {
        return;
    }
    let mut workload = Workload::start(&["frameless", "1", "1", "600000"]);
    let pid = workload.pid();
    workload.go();
    let sleeps = [libc::SYS_nanosleep, libc::SYS_clock_nanosleep];
    wait_for("its long sleep", || sleeps.contains(&call_of(pid)?).then_some(()));
    let recording = Recording::start(&["--pid", &pid.to_string(), "--probe", "syscall,offcpu", "--idle"]);
    let recorded = recording.stop();
    let text = recorded.file("offcpu.folded");
    let (with_callers, rooted, all) = weights(&folded(&text), SLEEP);
    assert!(all > 0 && with_callers == all && rooted == all, "{with_callers}, {rooted} of {all}:\n{text}");
    let called = recorded.summary["in_flight"].as_array().unwrap();
    let call = called.iter().find(|call| call["pid"] == pid).unwrap();
    let stack: Vec<String> =
        call["user_stack"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert!(has(&stack, &[&CALLERS[..], &[SLEEP]].concat()), "{call:#}");
}

#[test]
fn along_frame_pointers_the_same_stack_ends_where_they_are_used_for_something_else() {
    if !can_run("along_frame_pointers_the_same_stack_ends_where_they_are_used_for_something_else", &[]) {
        return;
    }
    let recorded = record(&["--unwind", "fp"]);
    let (with_callers, _, all) = weights(&folded(&recorded.file("cpu.folded")), BURN);
    assert!(all > 0 && with_callers == 0, "{with_callers} of {all}");
    assert_eq!(recorded.counted("stack_copied"), 0);
}

#[test]
fn a_copy_that_is_too_short_says_where_it_ends() {
    if !can_run("a_copy_that_is_too_short_says_where_it_ends", &[]) {
        return;
    }
    let recorded = record(&["--unwind", "dwarf", "--stack-bytes", "512"]);
    let text = recorded.file("cpu.folded");
    let cut = "[cut: copied part of the stack ends]";
    let through: Vec<_> =
        folded(&text).into_iter().filter(|(frames, _)| frames.iter().any(|frame| frame == BURN)).collect();
    assert!(!through.is_empty(), "{text}");
    assert!(through.iter().all(|(frames, _)| frames.iter().any(|frame| frame == cut)), "{text}");
    assert!(recorded.counted("stack_cut_window") > 0);
}
