//! Who ended a wait, where the CPU's own account of it is easily mistaken: timers that hit another thread's user code,
//! and packets that a process delivers in a softirq of its own.
//!
//! In: root. Out: every long wait of the workload is ended by the interrupt, or by the process that sent.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use crate::support::can_run;
use crate::support::host::measured;
use crate::support::live::{Recorded, Recording, Workload, assert_passes, number, stack};
use judge::bounds::Off;
use serde_json::Value;

const ROUNDS: u64 = 30;

/// Long waits of a process in one of these calls, by stacks, and how many they are.
fn stacks<'r>(recorded: &'r Recorded, pid: u32, calls: &[&str]) -> (Vec<&'r Value>, u64) {
    let rows = recorded.summary["probes"]["offcpu"]["stacks"].as_array().unwrap();
    let of = |row: &&Value| row["pid"] == pid && calls.iter().any(|call| row["syscall"] == *call);
    let rows: Vec<_> = rows.iter().filter(of).collect();
    let count = rows.iter().map(|row| number(row, "count")).sum();
    (rows, count)
}

#[test]
fn a_timer_that_hits_user_code_is_no_waker_of_that_process() {
    if !can_run("a_timer_that_hits_user_code_is_no_waker_of_that_process", &["taskset"]) {
        return;
    }
    measured("a_timer_that_hits_user_code_is_no_waker_of_that_process", timer_beside_user_code);
}

fn timer_beside_user_code() -> Result<(), Off> {
    let (mut sleeping, mut burning) = (
        Workload::pinned(0, &["nanosleep", &ROUNDS.to_string(), "20"]),
        Workload::pinned(0, &["burn-70-30", "600000"]),
    );
    let pid = sleeping.pid();
    burning.go();
    let recording = Recording::start(&["--pid", &pid.to_string(), "--probe", "offcpu,syscall"]);
    sleeping.go();
    sleeping.report();
    let recorded = recording.stop();
    let (rows, count) = stacks(&recorded, pid, &["nanosleep", "clock_nanosleep"]);
    assert_eq!(count, ROUNDS, "{rows:#?}");
    let (seen, unseen): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| !row["waker"].is_null());
    for row in seen {
        assert_eq!(row["waker"]["interrupt"], true, "{row:#}");
        let stack = stack(&row["waker"]);
        println!("{stack:?}");
        assert!(stack[0].starts_with("asm_"), "what the interrupt hit is not shown: {stack:?}");
    }
    // Those that nobody saw are told as not known.
    match unseen.iter().map(|row| number(row, "total_ns")).sum() {
        0 => Ok(()),
        by_ns => Err(Off { what: "waits that nobody was seen ending".into(), by_ns }),
    }
}

#[test]
fn who_sends_a_packet_over_loopback_is_the_waker() {
    if !can_run("who_sends_a_packet_over_loopback_is_the_waker", &[]) {
        return;
    }
    let workload = Workload::start(&["late-datagrams", &ROUNDS.to_string(), "20"]);
    let pid = workload.pid();
    let recording = Recording::start(&["--pid", &pid.to_string(), "--probe", "offcpu,syscall"]);
    workload.finish();
    let recorded = recording.stop();
    let (rows, count) = stacks(&recorded, pid, &["recvfrom"]);
    assert_eq!(count, ROUNDS, "{rows:#?}");
    for row in rows {
        let waker = &row["waker"];
        assert!(waker["interrupt"] == false && waker["pid"] != pid && waker["comm"] == "workload", "{row:#}");
        assert_passes(
            &stack(waker),
            &["…sys_sendto_[k]", "__local_bh_enable_ip_[k]", "sock_def_readable_[k]"],
        );
    }
}
