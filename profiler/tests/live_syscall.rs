//! The `syscall` probe against programs that know the answer.
//!
//! In: this machine's kernel, root, the workload. Out: counts that are exact, times that agree with the
//! workload's own clock, stacks through the functions it really was in.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage up must fail")]

mod support;

use serde_json::Value;
use support::can_run;
use support::live::{Recorded, Recording, Workload, assert_passes, assert_within, bucket, number, stack};

/// Records a workload from its start to its end.
fn record(arguments: &[&str], workload: &[&str]) -> (Recorded, Value, u32) {
    let workload = Workload::start(workload);
    let pid = workload.pid();
    let target = pid.to_string();
    let recording = Recording::start(&[&["--pid", &target], arguments].concat());
    let truth = workload.finish();
    (recording.stop(), truth, pid)
}

#[test]
fn reads_answered_late_are_counted_timed_and_explained() {
    if !can_run("reads_answered_late", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&[], &["pipe-reads", "100", "20"]);
    let row = recorded.call(pid, "read");
    assert_eq!(number(row, "count"), number(&truth, "calls"));
    assert_within("total", number(row, "total_ns"), number(&truth, "total_ns"), 0.01);
    for percentile in ["p50_ns", "p99_ns"] {
        let off = bucket(number(row, percentile)) - bucket(number(&truth, percentile));
        assert!(off.abs() <= 1, "{percentile} is {off} buckets off");
    }
    let slow = recorded.slow(pid, "read");
    assert_passes(&stack(slow[0]), &["…read_answered_late", "read()", "ksys_read_[k]", "anon_pipe_read_[k]"]);
    assert_eq!(recorded.losses(), [""; 0]);
}
