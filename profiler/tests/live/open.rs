//! What began before the recording, was not over when it ended, or was left before it was over.
//!
//! In: workloads that wait across the attach or across the end. Out: their calls and waits, with the time inside the recording.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up fails")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::live::{Recorded, Recording, Workload, number, workload};
use crate::support::{can_run, wait_for};

/// Waits until a thread is blocked in a call, by the kernel's own word.
fn wait_until_in_call(tid: u32, nr: i64) {
    wait_for("the call to block", || {
        let call = std::fs::read_to_string(format!("/proc/{tid}/syscall")).unwrap();
        call.starts_with(&format!("{nr} ")).then_some(())
    });
}

fn evidence<'r>(recorded: &'r Recorded, rule: &str) -> Option<&'r Value> {
    recorded.summary["evidence"].as_array().unwrap().iter().find(|found| found["rule"] == rule)
}

#[test]
fn many_in_one_uninterruptible_call_are_one_finding_and_an_idle_reader_is_none() {
    if !can_run("many_in_one_uninterruptible_call_are_one_finding_and_an_idle_reader_is_none", &[]) {
        return;
    }
    const HELD: u64 = 40;
    let reader = Workload::spawn(Command::new(workload()).arg("hang-read"));
    let _held = Workload::spawn(Command::new(workload()).args(["held-in-vfork", &HELD.to_string()]));
    wait_until_in_call(reader.pid(), libc::SYS_read);
    let recording = Recording::start(&["--probe", "syscall", "--comm", "workload"]);
    std::thread::sleep(Duration::from_millis(50));
    let recorded = recording.stop();
    let calls = recorded.in_flight(reader.pid());
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!((&calls[0]["class"], &calls[0]["wait"]), (&"idle".into(), &"sleep".into()));
    let found = evidence(&recorded, "in_flight").expect("no finding about calls in flight");
    assert_eq!(number(&found["numbers"], "calls_in_one_place"), HELD, "{found:#}");
    let sentence = found["finding"].as_str().unwrap();
    assert!(sentence.contains("uninterruptible") && sentence.contains("clone in workload"), "{sentence}");
}

/// Waits until a process is in this state, by the kernel's own word.
fn wait_until_state(pid: u32, state: char) {
    wait_for("the process to be in its state", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with(state).then_some(())
    });
}

fn rows<'r>(recorded: &'r Recorded, probe: &str, list: &str, pid: u32) -> Vec<&'r Value> {
    let rows = recorded.summary["probes"][probe][list].as_array().unwrap();
    rows.iter().filter(|row| row["pid"] == pid).collect()
}

fn ns(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap()
}

/// The CPU that a sleeping process was on last.
fn cpu_of(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    after_name.split(' ').nth(36).unwrap().to_owned()
}

/// A process that waits for a file's lock, which the caller holds.
fn waiter(file: &std::path::Path) -> crate::support::Process {
    let child: Child = Command::new("flock").arg(file).arg("true").stdin(Stdio::null()).spawn().unwrap();
    let waiter = crate::support::Process(child);
    wait_until_in_call(waiter.pid(), libc::SYS_flock);
    waiter
}

#[test]
fn a_lock_wait_that_began_before_and_ends_inside_has_a_row_of_its_own() {
    if !can_run("a_lock_wait_that_began_before_and_ends_inside_has_a_row_of_its_own", &["flock", "taskset"]) {
        return;
    }
    const NAME: &str = "flock (began before)";
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().lock().unwrap();
    let waiting_since = Instant::now();
    let mut waiter = waiter(file.path());
    // So that there is a time before. The clock of its CPU goes on when something runs there.
    std::thread::sleep(Duration::from_millis(200));
    crate::support::output(Command::new("taskset").args(["-c", &cpu_of(waiter.pid()), "true"]));
    let before = Instant::now();
    let recording = Recording::start(&["--pid", &waiter.pid().to_string()]);
    let attached = Instant::now();
    std::thread::sleep(Duration::from_millis(100));
    let least = ns(attached.elapsed());
    file.as_file().unlock().unwrap();
    waiter.0.wait().unwrap();
    let (most, waited_most) = (ns(before.elapsed()), ns(waiting_since.elapsed()));
    let recorded = recording.stop();
    let pid = waiter.pid();
    let row = recorded.call(pid, NAME);
    assert_eq!(number(row, "count"), 1, "{row:#}");
    let total = number(row, "total_ns");
    assert!((least..=most).contains(&total), "{total} ns, at least {least}, at most {most}");
    assert!(recorded.find_call(pid, "flock").is_none(), "no flock began inside");
    assert_eq!(recorded.counted("in_flight_at_attach"), 1);
    let slow = recorded.slow(pid, NAME);
    assert_eq!(slow.len(), 1, "{slow:#?}");
    assert!(
        crate::support::live::stack(slow[0]).iter().any(|frame| frame.contains("lock_inode_wait")),
        "{slow:#?}"
    );
    let parts = &slow[0]["parts"];
    assert!(number(parts, "unaccounted_ns") * 20 <= total, "{parts:#}");
    let one_by_one = rows(&recorded, "syscall", "slowest", pid);
    let call = one_by_one.iter().find(|call| call["syscall"] == NAME).expect("not among the slowest");
    assert_eq!((&row["at_least"], &call["at_least"]), (&true.into(), &true.into()), "{call:#}");
    let before = number(call, "before_ns");
    assert!(before >= 20_000_000, "{before} ns of 200 ms and more before: {call:#}");
    assert!(number(call, "wall_ns") + before <= waited_most, "{call:#} in {waited_most} ns");
    let found = recorded.summary["findings"][0].as_str().unwrap();
    assert!(found.contains(NAME), "{found}");
    assert!(recorded.file("syscall.folded").contains(NAME), "not in the picture");
    let waits = rows(&recorded, "offcpu", "rows", pid);
    let wait = waits.iter().find(|wait| wait["syscall"] == NAME).expect("no wait");
    assert!((least..=most).contains(&number(wait, "total_ns")), "{wait:#}");
}

/// It reads random bytes, in one call that is on the CPU from before the recording until it is killed.
#[test]
fn a_call_that_runs_at_attach_has_a_row() {
    const NAME: &str = "readv (began before)";
    if !can_run("a_call_that_runs_at_attach_has_a_row", &[]) {
        return;
    }
    let mut running = Workload::spawn(Command::new(workload()).arg("run-in-call"));
    let pid = running.pid();
    let before = Instant::now();
    let recording = Recording::start(&["--probe", "syscall", "--pid", &pid.to_string()]);
    let attached = Instant::now();
    std::thread::sleep(Duration::from_millis(200));
    let least = ns(attached.elapsed());
    crate::support::live::send(pid, "USR1");
    let truth = running.report();
    let most = ns(before.elapsed());
    let recorded = recording.stop();
    if truth["whole"] == 1 {
        crate::support::skipped(
            "a_call_that_runs_at_attach_has_a_row",
            "2 GiB of random bytes are read too fast here",
        );
        return;
    }
    let row = recorded.call(pid, NAME);
    assert_eq!((number(row, "count"), &row["at_least"]), (1, &true.into()), "{row:#}");
    let total = number(row, "total_ns");
    assert!((least..=most).contains(&total), "{total} ns, at least {least}, at most {most}");
    assert_eq!(recorded.counted("in_flight_at_attach"), 1);
    let parts = &row["parts"];
    assert!(number(parts, "unaccounted_ns") * 20 <= total, "{parts:#}");
}

#[test]
fn a_thread_that_sleeps_all_the_time_is_a_wait_of_that_time() {
    if !can_run("a_thread_that_sleeps_all_the_time_is_a_wait_of_that_time", &[]) {
        return;
    }
    let sleeper = Workload::spawn(Command::new(workload()).arg("hang-read"));
    wait_until_in_call(sleeper.pid(), libc::SYS_read);
    let pid = sleeper.pid();
    let before = Instant::now();
    let recording = Recording::start(&["--probe", "offcpu", "--pid", &pid.to_string()]);
    let attached = Instant::now();
    std::thread::sleep(Duration::from_millis(100));
    let least = ns(attached.elapsed());
    let recorded = recording.stop();
    let waits = rows(&recorded, "offcpu", "rows", pid);
    assert_eq!(waits.len(), 1, "{waits:#?}");
    assert_eq!((number(waits[0], "count"), &waits[0]["wait"]), (1, &"sleep".into()));
    let total = number(waits[0], "total_ns");
    assert!((least..=ns(before.elapsed())).contains(&total), "{total} ns, at least {least}");
    let stacks = rows(&recorded, "offcpu", "stacks", pid);
    assert_eq!((stacks.len(), number(stacks[0], "total_ns")), (1, total), "{stacks:#?}");
    assert!(recorded.file("offcpu.folded").contains("pipe_read"), "not in the picture");
    assert_eq!(recorded.counted("wait_open_at_end"), 1);
    assert_eq!(recorded.counted("wait_before_attach"), 1);
}

#[test]
fn a_spinning_thread_that_is_stopped_until_the_end_is_a_wait_outside_of_calls() {
    if !can_run("a_spinning_thread_that_is_stopped_until_the_end_is_a_wait_outside_of_calls", &[]) {
        return;
    }
    let mut spinning = Workload::start(&["burn-70-30", "600000"]);
    let pid = spinning.pid();
    let recording = Recording::start(&["--probe", "offcpu", "--pid", &pid.to_string()]);
    spinning.go();
    wait_until_state(pid, 'R');
    let before = Instant::now();
    crate::support::live::send(pid, "STOP");
    wait_until_state(pid, 'T');
    let stopped = Instant::now();
    std::thread::sleep(Duration::from_millis(100));
    let least = ns(stopped.elapsed());
    let recorded = recording.stop();
    let waits = rows(&recorded, "offcpu", "rows", pid);
    let open: Vec<_> = waits.iter().filter(|wait| wait["wait"] == "stopped").collect();
    assert_eq!(open.len(), 1, "{waits:#?}");
    let total = number(open[0], "total_ns");
    assert!((least..=ns(before.elapsed())).contains(&total), "{total} ns, at least {least}");
    assert!(recorded.file("offcpu.folded").contains("signal"), "not in the picture");
    assert_eq!(recorded.counted("wait_open_at_end"), 1);
}

/// Reads that a signal's handler leaves as `siglongjmp` does, without a call between one and the next, or with some.
#[test]
fn reads_that_a_handler_jumps_away_from_ended_there() {
    if !can_run("reads_that_a_handler_jumps_away_from_ended_there", &[]) {
        return;
    }
    for calls_between in ["0", "1"] {
        let workload = Workload::start(&["left-reads", "20", "20", calls_between]);
        let pid = workload.pid();
        let recording = Recording::start(&["--pid", &pid.to_string()]);
        let truth = workload.finish();
        let recorded = recording.stop();
        assert_eq!((&truth["handled"], &truth["left"]), (&20.into(), &20.into()));
        let row = recorded.call(pid, "read");
        assert_eq!(
            (number(row, "count"), &row["errors"]),
            (20, &serde_json::json!({ "EINTR": 20 })),
            "{row:#}"
        );
        assert!(number(row, "total_ns") <= number(&truth, "total_ns"), "{row:#}, truth {truth:#}");
        assert_eq!(recorded.counted("restarted"), 0);
        // What shows of the last one is the thread's end.
        assert!(
            (19..=20).contains(&recorded.counted("interrupted_left")),
            "{}",
            recorded.counted("interrupted_left")
        );
        assert!(!recorded.slow(pid, "read").is_empty());
        for row in recorded.slow_seen(pid, "read") {
            crate::support::live::assert_passes(
                &crate::support::live::stack(row),
                &["_start", "…::read_left", "left_read", "read()", "ksys_read_[k]", "…pipe_read_[k]"],
            );
        }
    }
}
