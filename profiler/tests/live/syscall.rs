//! The `syscall` probe against programs that know the answer.
//!
//! In: this machine's kernel, root, the workload. Out: counts that are exact, times that agree with the
//! workload's own clock, stacks through the functions it really was in.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage up must fail")]

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::support::live::{
    Recorded, Recording, Workload, assert_passes, assert_within, bucket, number, send, stack, workload,
};
use crate::support::{can_run, wait_for};
use serde_json::Value;

/// Records a workload from its start to its end; what was recorded, the truth, the workload's pid.
fn record(arguments: &[&str], workload: &[&str]) -> (Recorded, Value, u32) {
    let workload = Workload::start(workload);
    let pid = workload.pid();
    let recording = record_pid(pid, arguments);
    let truth = workload.finish();
    let recorded = recording.stop();
    assert_eq!(recorded.losses(), [""; 0]);
    (recorded, truth, pid)
}

fn record_pid(pid: u32, arguments: &[&str]) -> Recording {
    Recording::start(&[&["--pid", &pid.to_string()], arguments].concat())
}

/// Count, total and percentiles of timed calls against the workload's own clock. It has more than the call where the
/// workload lost its CPU around it; then it says what the call took at least.
fn assert_timed(recorded: &Recorded, row: &Value, truth: &Value) {
    recorded.assert_counted("calls", number(row, "count"), number(truth, "calls"));
    assert_between("total", number(row, "total_ns"), truth, "total_ns", 0.01);
    for percentile in ["p50_ns", "p99_ns"] {
        let of = |name: &str| bucket(number(truth, name));
        let (found, least) = (bucket(number(row, percentile)), of(&format!("least_{percentile}")));
        assert!((least - 1..=of(percentile) + 1).contains(&found), "{percentile}: {row:#}, truth {truth:#}");
    }
}

/// Within that share of what the workload says, at least and at most.
fn assert_between(what: &str, measured: u64, truth: &Value, name: &str, share: f64) {
    let (least, most) = (number(truth, &format!("least_{name}")), number(truth, name));
    assert_within(what, measured, measured.clamp(least, most), share);
}

/// Waits until a thread is blocked in a call, by the kernel's own word.
fn wait_until_in_call(tid: u32, nr: i64) {
    wait_for("the call to block", || {
        let call = fs::read_to_string(format!("/proc/{tid}/syscall")).unwrap();
        call.starts_with(&format!("{nr} ")).then_some(())
    });
}

fn ns(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap()
}

#[test]
fn reads_answered_late_are_counted_timed_and_explained() {
    if !can_run("reads_answered_late_are_counted_timed_and_explained", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&[], &["pipe-reads", "100", "20"]);
    let row = recorded.call(pid, "read");
    assert_timed(&recorded, row, &truth);
    assert_eq!(row["class"], "work");
    let slow = recorded.slow(pid, "read");
    assert_eq!(slow.iter().map(|row| number(row, "count")).sum::<u64>(), 100);
    assert_passes(&stack(slow[0]), &["…::read_answered_late", "read()", "ksys_read_[k]", "…pipe_read_[k]"]);
    // The frame that made the call is the last one of user code, with nothing inlined into it behind.
    let frames = stack(slow[0]);
    let call = frames.iter().position(|frame| *frame == "read()").unwrap();
    let maker = frames[..call].iter().rposition(|frame| frame.ends_with("::read_answered_late")).unwrap();
    assert!(!frames[maker..call].iter().any(|frame| frame.contains("now")), "{frames:#?}");
}

#[test]
fn sleeps_are_counted_timed_and_idle() {
    if !can_run("sleeps_are_counted_timed_and_idle", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&[], &["nanosleep", "100", "20"]);
    let row = recorded.call(pid, "nanosleep");
    assert_timed(&recorded, row, &truth);
    assert_eq!(row["class"], "idle");
    let slow = recorded.slow(pid, "nanosleep");
    assert_passes(&stack(slow[0]), &["…::sleep_once", "nanosleep()", "hrtimer_nanosleep_[k]"]);
}

#[test]
fn futex_waits_are_counted_timed_and_user_locks() {
    if !can_run("futex_waits_are_counted_timed_and_user_locks", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&[], &["futex", "100", "20"]);
    let row = recorded.call(pid, "futex");
    assert_timed(&recorded, row, &truth);
    assert_eq!(row["class"], "user-lock");
    let slow = recorded.slow(pid, "futex");
    assert_eq!(slow[0]["class"], "user-lock");
    assert_passes(&stack(slow[0]), &["…::wait_on_futex", "futex()", "futex_wait_[k]"]);
}

#[test]
fn errors_are_counted_by_errno() {
    if !can_run("errors_are_counted_by_errno", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&[], &["failing-opens", "12345"]);
    assert_eq!(truth["missing"], 12345);
    let row = recorded.call(pid, "open");
    recorded.assert_counted("calls", number(row, "count"), 12345);
    assert_eq!(row["errors"], serde_json::json!({ "ENOENT": row["count"] }));
}

#[test]
fn a_read_that_hung_before_is_in_flight() {
    if !can_run("a_read_that_hung_before_is_in_flight", &[]) {
        return;
    }
    let hanging = Workload::spawn(Command::new(workload()).arg("hang-read"));
    wait_until_in_call(hanging.pid(), libc::SYS_read);
    let before = Instant::now();
    let recording = record_pid(hanging.pid(), &[]);
    let attached = Instant::now();
    wait_until_in_call(hanging.pid(), libc::SYS_read);
    let at_least = ns(attached);
    let recorded = recording.stop();
    let calls = recorded.in_flight(hanging.pid());
    assert_eq!(calls.len(), 1, "{calls:#?}");
    let call = calls[0];
    assert_eq!((&call["syscall"], &call["at_least"]), (&"read".into(), &true.into()));
    assert_eq!(call["tid"], hanging.pid());
    let age = number(call, "age_ns");
    assert!((at_least..ns(before)).contains(&age), "{age} ns old, recorded for at least {at_least} ns");
    assert_passes(&stack(call), &["ksys_read_[k]", "…pipe_read_[k]"]);
    assert_eq!(recorded.counted("in_flight_at_end"), 1);
}

#[test]
fn a_read_that_hangs_meanwhile_is_in_flight_with_its_age() {
    if !can_run("a_read_that_hangs_meanwhile_is_in_flight_with_its_age", &[]) {
        return;
    }
    let mut hanging = Workload::start(&["hang-read"]);
    let recording = record_pid(hanging.pid(), &[]);
    let before = Instant::now();
    hanging.go();
    assert_eq!(hanging.line(), "ready");
    wait_until_in_call(hanging.pid(), libc::SYS_read);
    let inside = Instant::now();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let at_least = ns(inside);
    let recorded = recording.stop();
    let calls = recorded.in_flight(hanging.pid());
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!((&calls[0]["syscall"], &calls[0]["at_least"]), (&"read".into(), &false.into()));
    let age = number(calls[0], "age_ns");
    assert!((at_least..ns(before)).contains(&age), "{age} ns old, at least {at_least} ns by its own clock");
    assert_passes(&stack(calls[0]), &["ksys_read_[k]", "…pipe_read_[k]"]);
}

/// Ticks that a process has spent in the kernel.
fn system_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next()?.split(' ').nth(13)?.parse().ok()
}

#[test]
fn a_call_that_is_computing_at_the_end_is_in_flight() {
    if !can_run("a_call_that_is_computing_at_the_end_is_in_flight", &[]) {
        return;
    }
    // More than the test waits for, so that it is inside a read whenever the recording ends.
    let mut computing = Workload::start(&["random-reads", "10000", "250"]);
    let recording = record_pid(computing.pid(), &[]);
    let (before, before_ticks) = (Instant::now(), system_ticks(computing.pid()).unwrap());
    computing.go();
    wait_for("half a second of computing in the kernel", || {
        let system_ticks = system_ticks(computing.pid())?;
        (system_ticks >= 50 + before_ticks).then_some(())
    });
    let recorded = recording.stop();
    let calls = recorded.in_flight(computing.pid());
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!((&calls[0]["syscall"], &calls[0]["at_least"]), (&"read".into(), &false.into()));
    assert!(number(calls[0], "age_ns") < ns(before));
}

#[test]
fn a_thread_stopped_inside_a_call_is_still_in_it() {
    if !can_run("a_thread_stopped_inside_a_call_is_still_in_it", &[]) {
        return;
    }
    let mut hanging = Workload::start(&["hang-read"]);
    let recording = record_pid(hanging.pid(), &[]);
    hanging.go();
    assert_eq!(hanging.line(), "ready");
    wait_until_in_call(hanging.pid(), libc::SYS_read);
    send(hanging.pid(), "STOP");
    wait_for("the workload to stop", || {
        let status = fs::read_to_string(format!("/proc/{}/status", hanging.pid())).unwrap();
        status.contains("State:\tT").then_some(())
    });
    let recorded = recording.stop();
    let calls = recorded.in_flight(hanging.pid());
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!((&calls[0]["syscall"], &calls[0]["at_least"]), (&"read".into(), &false.into()));
    assert!(stack(calls[0]).iter().any(|frame| frame.contains("signal")), "where it is stopped");
}

#[test]
fn a_thread_ended_inside_a_call_is_no_loss_and_its_call_is_a_row() {
    if !can_run("a_thread_ended_inside_a_call_is_no_loss_and_its_call_is_a_row", &[]) {
        return;
    }
    // When its thread gets to its read is this machine's.
    let (recorded, _, pid) = record(&["--slow", "0"], &["exit-in-call", "100"]);
    assert_eq!(recorded.counted("ended_by_death"), 1);
    assert_eq!(recorded.counted("clone_child"), 1, "its one thread");
    let read = recorded.call(pid, "read");
    assert_eq!((number(read, "count"), &read["errors"]), (1, &serde_json::json!({ "EINTR": 1 })), "{read:#}");
    assert!(number(read, "total_ns") > 0, "until it was interrupted: {read:#}");
    let slow = recorded.slow(pid, "read");
    assert_eq!(slow.iter().map(|row| number(row, "count")).sum::<u64>(), 1, "{slow:#?}");
    assert!(recorded.in_flight(pid).is_empty());
}

#[test]
fn a_stopped_and_continued_sleep_is_one_call() {
    if !can_run("a_stopped_and_continued_sleep_is_one_call", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&[], &["interrupted-sleep", "5", "400"]);
    let row = recorded.call(pid, "nanosleep");
    assert_timed(&recorded, row, &truth);
    assert_eq!(row["errors"], serde_json::json!({}));
    assert_eq!(recorded.counted("restarted"), 5);
    assert!(recorded.find_call(pid, "restart_syscall").is_none());
    let slow = recorded.slow(pid, "nanosleep");
    assert_eq!(slow.iter().map(|row| number(row, "count")).sum::<u64>(), 5);
    // Both halves were slept; between them the thread was stopped for 5 ms.
    let off_cpu = slow.iter().map(|row| number(row, "off_cpu_ns")).sum();
    assert_between("time off the CPU", off_cpu, &truth, "total_ns", 0.05);
}

#[test]
fn a_read_restarted_after_a_signal_is_one_call() {
    if !can_run("a_read_restarted_after_a_signal_is_one_call", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&[], &["signalled-reads", "5", "400", "1"]);
    assert_eq!((&truth["handled"], &truth["interrupted"]), (&5.into(), &0.into()));
    let row = recorded.call(pid, "read");
    assert_timed(&recorded, row, &truth);
    assert_eq!(row["errors"], serde_json::json!({}));
    assert_eq!(recorded.counted("restarted"), 5);
    let slow = recorded.slow(pid, "read");
    let off_cpu = slow.iter().map(|row| number(row, "off_cpu_ns")).sum();
    assert_between("time off the CPU", off_cpu, &truth, "total_ns", 0.05);
    assert_passes(&stack(slow[0]), &["…::read_signalled", "read()", "ksys_read_[k]", "…pipe_read_[k]"]);
}

#[test]
fn a_read_failed_by_a_signal_is_counted() {
    if !can_run("a_read_failed_by_a_signal_is_counted", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&["--slow", "0"], &["signalled-reads", "5", "200", "0"]);
    assert_eq!((&truth["handled"], &truth["interrupted"]), (&5.into(), &5.into()));
    let row = recorded.call(pid, "read");
    assert_timed(&recorded, row, &truth);
    assert_eq!(row["errors"], serde_json::json!({ "EINTR": 5 }));
    assert_eq!(recorded.counted("restarted"), 0);
    // The value it "returns" is the interrupted call's.
    assert_eq!(recorded.call(pid, "rt_sigreturn")["errors"], serde_json::json!({}));
    for row in recorded.slow_seen(pid, "read") {
        assert_passes(&stack(row), &["…::read_signalled", "read()", "ksys_read_[k]", "…pipe_read_[k]"]);
    }
    let slow = recorded.slow(pid, "read");
    assert_eq!(slow.iter().map(|row| number(row, "count")).sum::<u64>(), number(&truth, "calls"));
}

#[test]
fn calls_refused_by_seccomp_are_a_class_of_their_own() {
    if !can_run("calls_refused_by_seccomp_are_a_class_of_their_own", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&[], &["refused", "777"]);
    assert_eq!(truth["refused"], 777);
    assert_eq!(recorded.counted("refused_call"), 777);
    assert!(recorded.find_call(pid, "getppid").is_none(), "a call that never began has no latency");
}

#[test]
fn children_and_threads_are_counted_as_clones() {
    if !can_run("children_and_threads_are_counted_as_clones", &[]) {
        return;
    }
    let (recorded, truth, _) = record(&[], &["spawn", "100"]);
    assert_eq!(recorded.counted("clone_child"), 100);
    let rows = recorded.summary["probes"]["syscall"]["rows"].as_array().unwrap();
    for call in ["getppid", "nanosleep"] {
        let count: u64 =
            rows.iter().filter(|row| row["syscall"] == call).map(|row| number(row, "count")).sum();
        assert_eq!(count, number(&truth, &format!("{call}_calls")), "{call} of all children");
    }
    let (recorded, ..) = record(&[], &["getppid-loop", "1", "7"]);
    assert_eq!(recorded.counted("clone_child"), 7);
    assert_eq!(recorded.counted("in_flight_at_attach"), 1, "the read it waited in");
}

#[test]
fn a_call_that_never_sleeps_has_the_stack_of_what_burns() {
    if !can_run("a_call_that_never_sleeps_has_the_stack_of_what_burns", &[]) {
        return;
    }
    let computing = Workload::start(&["random-reads", "20", "100"]);
    let (pid, slow) = (computing.pid(), computing.slow());
    // As often as makes a few samples in each call, however long it is.
    let hertz = (10_000_000_000 / computing.unit_ns()).max(99).to_string();
    let recording = record_pid(pid, &["-F", &hertz, &slow[0], &slow[1]]);
    computing.finish();
    let recorded = recording.stop();
    assert_eq!(recorded.losses(), [""; 0]);
    assert_eq!(number(recorded.call(pid, "read"), "count"), 20);
    let slow = recorded.slow(pid, "read");
    assert_eq!(slow.iter().map(|row| number(row, "count")).sum::<u64>(), 20);
    for row in slow {
        let frames = stack(row);
        assert_passes(
            &frames,
            &["…::compute_in_kernel", "read()", "ksys_read_[k]", "get_random_bytes_user_[k]"],
        );
    }
}

#[test]
fn with_threshold_zero_every_call_keeps_its_stacks() {
    if !can_run("with_threshold_zero_every_call_keeps_its_stacks", &[]) {
        return;
    }
    let (recorded, _, pid) = record(&["--slow", "0"], &["pipe-reads", "50", "5"]);
    let rows = recorded.rows("syscall", pid);
    assert!(rows.len() >= 4, "read, write, pipe2, close, …: {rows:#?}");
    for row in rows {
        let call = row["syscall"].as_str().unwrap();
        let slow = recorded.slow(pid, call);
        for field in ["count", "total_ns"] {
            let sum: u64 = slow.iter().map(|row| number(row, field)).sum();
            assert_eq!(sum, number(row, field), "{field} of {call}");
        }
    }
}

#[test]
fn a_million_calls_are_a_million() {
    if !can_run("a_million_calls_are_a_million", &[]) {
        return;
    }
    for threads in ["1", "2"] {
        let (recorded, truth, pid) = record(&[], &["getppid-loop", "1000000", threads]);
        assert_eq!(truth["calls"], 1_000_000 * threads.parse::<u64>().unwrap());
        let counted = number(recorded.call(pid, "getppid"), "count");
        recorded.assert_counted("getppid", counted, number(&truth, "calls"));
    }
}
