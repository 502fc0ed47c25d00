//! What the slowest calls were about, against a workload that made the objects: a TCP connection, a pipe, a file,
//! a futex, a descriptor that is closed by the time it is looked up, a process that is gone.
//!
//! In: root. Out: names and peer addresses, or the reason why there is none.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

mod support;

use serde_json::Value;
use support::can_run;
use support::live::{Recording, Workload, number};

/// The one slow read by that descriptor.
fn read(calls: &[Value], pid: u64, fd: u64) -> &Value {
    let is = |call: &&Value| call["pid"] == pid && call["syscall"] == "read" && call["arguments"][0] == fd;
    let found: Vec<_> = calls.iter().filter(is).collect();
    assert_eq!(found.len(), 1, "reads of {fd} by {pid} in {calls:#?}");
    found[0]
}

#[test]
fn the_slowest_calls_tell_what_they_were_about() {
    if !can_run("the_slowest_calls_tell_what_they_were_about", &[]) {
        return;
    }
    let mut workload = Workload::start(&["--linger", "objects", "60"]);
    let pid = u64::from(workload.pid());
    let recording = Recording::start(&["--pid", &pid.to_string()]);
    workload.go();
    let truth = workload.report();
    // It lingers, with all it opened, while the last second is drained.
    let recorded = recording.stop();
    let probe = &recorded.summary["probes"]["syscall"];
    let calls = probe["slowest"].as_array().unwrap();
    let of = |field: &str| number(&truth, field);
    for (field, expected) in [
        ("tcp_fd", format!("tcp 127.0.0.1:{} → 127.0.0.1:{}", of("here"), of("there"))),
        ("pipe_fd", format!("pipe:[{}]", of("pipe_inode"))),
        ("file_fd", "/dev/urandom".to_owned()),
    ] {
        let call = read(calls, pid, of(field));
        assert_eq!((&call["object"], &call["object_unknown"]), (&expected.into(), &"".into()), "{field}");
        assert!(number(call, "wall_ns") >= 10_000_000, "{call:#}");
    }
    for (pid, fd, why) in
        [(pid, of("closed_fd"), "closed by now"), (of("gone_pid"), of("pipe_fd"), "process gone")]
    {
        let call = read(calls, pid, fd);
        assert_eq!((&call["object"], &call["object_unknown"]), (&"".into(), &why.into()));
    }
    let futexes = probe["slowest_user_locks"].as_array().unwrap();
    assert!(calls.iter().all(|call| call["syscall"] != "futex"));
    let address = of("futex");
    let waits: Vec<_> = futexes.iter().filter(|call| call["arguments"][0] == address).collect();
    assert_eq!(waits.len(), 1, "{futexes:#?}");
    assert_eq!(waits[0]["object"], format!("futex {address:#x}"));
    assert_eq!(waits[0]["error"], "ETIMEDOUT");
    assert!((60_000_000..1_000_000_000).contains(&number(waits[0], "wall_ns")), "{:#}", waits[0]);
}
