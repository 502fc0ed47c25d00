//! The parts of slow calls against what the kernel tells of the same thread without any tracing: its CPU
//! clock and its `schedstat` before and after each call.
//!
//! In: root. Out: every part within max(2 %, 50 µs per call) of the witness, and parts that add up to the
//! wall time, also when switches are ignored on purpose: then what they miss is `unaccounted`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use crate::support::host::measured;
use crate::support::live::{Recorded, Recording, Workload, number};
use crate::support::{can_run, wait_for};
use judge::bounds::{self, Off};
use judge::taken;
use serde_json::Value;

/// Every part in `summary.json`.
const PARTS: [&str; 8] = [
    "on_cpu_ns",
    "spin_ns",
    "irq_ns",
    "lock_sleep_ns",
    "sleep_ns",
    "runnable_ns",
    "interrupted_ns",
    "unaccounted_ns",
];

/// Records a workload from before its start to after its end. What is slow follows from how long its calls take here.
fn record(options: &[&str], words: &[&str]) -> (Recorded, Value, u32) {
    let workload = Workload::start(words);
    let (pid, slow) = (workload.pid(), workload.slow());
    let pid_text = pid.to_string();
    let slow: Vec<&str> = slow.iter().map(String::as_str).collect();
    let recording = Recording::start(&[&["--pid", &pid_text], options, &slow].concat());
    let truth = workload.finish();
    let recorded = recording.stop();
    println!("unseen switches made up for: {}", recorded.counted("switch_recovered"));
    (recorded, truth, pid)
}

/// Asserts that a row's parts add up to its wall time, to the ns, and gives them.
fn parts(row: &Value) -> &Value {
    let parts = &row["parts"];
    let sum: u64 = PARTS.iter().map(|part| number(parts, part)).sum();
    assert_eq!(sum, number(parts, "wall_ns"), "{row:#}");
    let slow = if row["slow"].is_object() { &row["slow"] } else { row };
    assert_eq!(sum, number(slow, "total_ns"), "{row:#}");
    parts
}

/// Every row of every process, the rows by stacks too: the sums hold.
fn assert_sums(recorded: &Recorded) -> u64 {
    let probe = &recorded.summary["probes"]["syscall"];
    let slow = probe["slow"].as_array().unwrap();
    for row in slow {
        parts(row);
    }
    let rows = probe["rows"].as_array().unwrap().iter().filter(|row| number(&row["slow"], "count") > 0);
    let (mut wall, mut calls) = (0, 0);
    for row in rows {
        wall += number(parts(row), "wall_ns");
        calls += number(&row["slow"], "count");
    }
    let folded = recorded.file("latency.folded");
    let drawn: u64 =
        folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
    assert_eq!(drawn, wall, "the latency flame graph is the calls' whole wall time");
    assert_eq!(recorded.counted("parts_implausible"), 0);
    calls
}

/// The bound of the issue: 2 %, or 50 µs per call, of a witness that knows the truth to lie between two values.
fn between(what: &str, measured: u64, (least, most): (u64, u64), calls: u64) -> Result<(), Off> {
    println!("{}", bounds::between(what, measured, (least, most), (least / 50).max(50_000 * calls))?);
    Ok(())
}

fn near(what: &str, measured: u64, truth: u64, calls: u64) -> Result<(), Off> {
    between(what, measured, (truth, truth), calls)
}

/// A call whose parts the witness knows.
fn witnessed(recorded: &Recorded, truth: &Value, pid: u32, syscall: &str) -> Result<(), Off> {
    let row = recorded.call(pid, syscall);
    let calls = number(truth, "calls");
    assert_eq!(number(&row["slow"], "count"), calls, "{row:#}");
    let parts = parts(row);
    assert_sums(recorded);
    let of = |part| number(parts, part);
    assert!(of("unaccounted_ns") * 50 <= of("wall_ns"), "{parts:#}");
    near("wall", of("wall_ns"), number(truth, "wall_ns"), calls)?;
    // The thread's CPU clock has more than the call: the ways in and out around its two tracepoints, what our programs do
    // after they took the time, and the look at that clock.
    let look = truth["look_ns"].as_u64().unwrap_or(0);
    let around = number(truth, "wall_ns").saturating_sub(of("wall_ns"));
    let (ran, cpu) = (of("on_cpu_ns") + of("spin_ns") + of("irq_ns"), number(truth, "cpu_ns"));
    between("on the CPU", ran, (cpu.saturating_sub(around + look), cpu), calls)?;
    let doubt = truth["doubt_ns"].as_u64().unwrap_or(0);
    let (delay, asleep) = (number(truth, "delay_ns"), number(truth, "asleep_ns"));
    between("waiting for a CPU", of("runnable_ns"), (delay, delay + doubt), calls)?;
    let slept = of("sleep_ns") + of("lock_sleep_ns");
    between("asleep", slept, (asleep.saturating_sub(doubt), asleep), calls)
}

#[test]
fn the_kernels_own_work_is_on_the_cpu() {
    if !can_run("the_kernels_own_work_is_on_the_cpu", &[]) {
        return;
    }
    measured("the_kernels_own_work_is_on_the_cpu", || {
        let (recorded, truth, pid) = record(&[], &["first-reads", "20", "20"]);
        let folded = recorded.file("latency.folded");
        assert!(folded.contains(";read();on CPU in the kernel;"), "{folded}");
        witnessed(&recorded, &truth, pid, "read")
    });
}

#[test]
fn a_late_answer_is_sleep_and_its_stack_says_where() {
    if !can_run("a_late_answer_is_sleep_and_its_stack_says_where", &[]) {
        return;
    }
    measured("a_late_answer_is_sleep_and_its_stack_says_where", || {
        let (recorded, truth, pid) = record(&[], &["late-reads", "40", "20"]);
        let folded = recorded.file("latency.folded");
        let asleep = folded.lines().find(|line| line.contains("read();asleep;")).unwrap();
        assert!(asleep.contains("vfs_read_[k];") && asleep.contains("pipe_read_[k] "), "{asleep}");
        assert!(recorded.stdout.contains("parts"), "the JSON has parts");
        witnessed(&recorded, &truth, pid, "read")
    });
}

/// How often a process's main thread has gone to sleep.
fn sleeps(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn calls_that_begin_while_probes_attach_have_their_parts() {
    if !can_run("calls_that_begin_while_probes_attach_have_their_parts", &[]) {
        return;
    }
    let mut reading = Workload::start(&["pipe-reads", "100000", "20"]);
    let pid = reading.pid();
    reading.go();
    for _ in 0..3 {
        let recording = Recording::start(&["--pid", &pid.to_string()]);
        let before = sleeps(pid);
        wait_for("twelve reads", || (sleeps(pid) >= before + 12).then_some(()));
        let recorded = recording.stop();
        let row = recorded.call(pid, "read");
        assert!(number(&row["slow"], "count") >= 10, "{row:#}");
        let parts = parts(row);
        println!("{parts}");
        // One read of 20 ms is more.
        assert!(number(parts, "unaccounted_ns") * 50 <= number(parts, "wall_ns"), "{parts:#}");
    }
}

#[test]
fn the_slowest_calls_are_kept_one_by_one() {
    if !can_run("the_slowest_calls_are_kept_one_by_one", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&["--slow", "1ms"], &["late-reads", "40", "5"]);
    let kept = recorded.summary["probes"]["syscall"]["slowest"].as_array().unwrap();
    // Sixteen of a CPU and second; all of these may end on one.
    assert!((16..=20).contains(&kept.len()), "{}", kept.len());
    assert!(kept.is_sorted_by_key(|call| std::cmp::Reverse(number(call, "wall_ns"))));
    let row = recorded.call(pid, "read");
    let reads: Vec<_> = kept.iter().filter(|call| call["pid"] == pid && call["syscall"] == "read").collect();
    assert!(reads.len() >= 10, "{kept:#?}");
    assert_eq!(number(reads[0], "wall_ns"), number(row, "max_ns"), "the longest is among them");
    for call in reads {
        assert_eq!((&call["ret"], &call["tid"], &call["error"]), (&1.into(), &pid.into(), &Value::Null));
        assert_eq!(call["arguments"][2], 1, "read of one byte: {call:#}");
        let sum: u64 = PARTS.iter().map(|part| number(&call["parts"], part)).sum();
        assert_eq!(sum, number(call, "wall_ns"), "{call:#}");
        assert!(number(call, "start_ns") < number(&recorded.summary, "duration_ns"));
        assert!(number(call, "wall_ns") >= number(&truth, "min_ns") / 2, "{call:#}");
    }
}

#[test]
fn a_busy_neighbour_is_waiting_for_a_cpu() {
    if !can_run("a_busy_neighbour_is_waiting_for_a_cpu", &[]) {
        return;
    }
    measured("a_busy_neighbour_is_waiting_for_a_cpu", || {
        let (recorded, truth, pid) = record(&[], &["outranked-reads", "20", "20"]);
        let row = recorded.call(pid, "read");
        assert!(number(&row["parts"], "runnable_ns") * 5 > number(&row["parts"], "wall_ns"), "{row:#}");
        assert!(recorded.file("latency.folded").contains("read();waiting for a CPU: preempted"));
        witnessed(&recorded, &truth, pid, "read")
    });
}

#[test]
fn a_late_answer_beside_a_busy_neighbour_is_told_in_two_parts() {
    if !can_run("a_late_answer_beside_a_busy_neighbour_is_told_in_two_parts", &[]) {
        return;
    }
    measured("a_late_answer_beside_a_busy_neighbour_is_told_in_two_parts", || {
        let (recorded, truth, pid) = record(&[], &["crowded-late-reads", "40", "20"]);
        witnessed(&recorded, &truth, pid, "read")
    });
}

#[test]
fn unseen_comings_to_a_cpu_are_made_up_for() {
    if !can_run("unseen_comings_to_a_cpu_are_made_up_for", &[]) {
        return;
    }
    for words in [["outranked-reads", "20", "20"].as_slice(), &["crowded-late-reads", "40", "20"]] {
        measured("unseen_comings_to_a_cpu_are_made_up_for", || {
            let before_ns = taken::throttled_ns();
            let (recorded, truth, pid) = record(&["--ignore-arrivals", "300"], words);
            assert!(recorded.counted("switch_ignored") >= 10, "{words:?}: nothing was ignored");
            assert!(recorded.counted("switch_recovered") >= 5, "{words:?}: nothing was made up for");
            let missed = recorded.counted("switch_missed");
            // The scheduler's accounts do not have what a quota took: those threads' switches stay missed, and are counted.
            if missed > 0 && taken::throttled_ns() > before_ns {
                return Err(Off {
                    what: format!("{missed} switches of throttled threads were missed"),
                    by_ns: 0,
                });
            }
            assert_eq!(missed, 0, "{words:?}");
            witnessed(&recorded, &truth, pid, "read")
        });
    }
}

#[test]
fn a_held_mutex_is_sleep_on_a_lock_and_nothing_twice() {
    if !can_run("a_held_mutex_is_sleep_on_a_lock_and_nothing_twice", &[]) {
        return;
    }
    measured("a_held_mutex_is_sleep_on_a_lock_and_nothing_twice", || {
        let (recorded, truth, pid) = record(&[], &["stalled-pipe", "20", "25"]);
        let (row, calls) = (recorded.call(pid, "read"), number(&truth, "calls"));
        assert_eq!(number(&row["slow"], "count"), calls, "{row:#}");
        assert_sums(&recorded);
        let parts = parts(row);
        // From when the reader was seen in its call until the holder could go on; by the reader's clock.
        let waited = (number(&truth, "least_total_ns"), number(&truth, "total_ns"));
        between("on the pipe's mutex", number(parts, "lock_sleep_ns"), waited, calls)?;
        near("asleep on anything else", number(parts, "sleep_ns"), 0, calls)
    });
}

#[test]
fn a_hundred_thousand_calls_add_up_to_the_ns() {
    if !can_run("a_hundred_thousand_calls_add_up_to_the_ns", &[]) {
        return;
    }
    let (recorded, _, pid) = record(&["--slow", "0"], &["ping-pong", "30000"]);
    assert!(assert_sums(&recorded) >= 100_000);
    let row = recorded.call(pid, "read");
    assert!(number(&row["slow"], "count") >= 60_000, "{row:#}");
    let parts = parts(row);
    assert!(number(parts, "unaccounted_ns") * 50 <= number(parts, "wall_ns"), "{parts:#}");
    for part in ["on_cpu_ns", "sleep_ns", "runnable_ns"] {
        assert!(number(parts, part) > 0, "{part}: {parts:#}");
    }
}

#[test]
fn what_ignored_switches_hide_is_unaccounted() {
    if !can_run("what_ignored_switches_hide_is_unaccounted", &[]) {
        return;
    }
    let words = ["pipe-reads", "1000", "2"];
    let share = |options: &[&str]| {
        let (recorded, _, pid) = record(&[&["--slow", "1ms"], options].concat(), &words);
        assert_sums(&recorded);
        let parts = parts(recorded.call(pid, "read")).clone();
        let share = number(&parts, "unaccounted_ns") as f64 / number(&parts, "wall_ns") as f64;
        println!("{options:?}: {:.2} % unaccounted, {parts}", 100.0 * share);
        (share, recorded.counted("switch_ignored"), recorded.counted("switch_missed"))
    };
    let (whole, ignored, missed) = share(&[]);
    assert!(whole <= 0.02 && ignored == 0, "{whole}, {ignored} ignored, {missed} missed");
    // A sleep lies between two switches: 1 − 0.95² of the time is hidden, give or take four standard
    // deviations of a thousand sleeps. The kernel's own count of switches finds where both are missing.
    let (cut, ignored, missed) = share(&["--ignore-switches", "50"]);
    assert!((0.06..0.14).contains(&cut), "{cut}");
    assert!(ignored > 0 && missed > 0, "{ignored} ignored, {missed} missed");
}

#[test]
fn softirqs_on_top_of_a_call_are_a_part_of_their_own() {
    if !can_run("softirqs_on_top_of_a_call_are_a_part_of_their_own", &[]) {
        return;
    }
    // Loopback: what a datagram's way up takes runs as a softirq on top of the call that sends it. A second of CPU time is
    // five thousand samples, of which the sends have a good part on any machine.
    let options = ["--slow", "0", "-F", "4999"];
    let (recorded, _, pid) = record(&options, &["udp-send-for", "1000"]);
    let row = recorded.call(pid, "sendto");
    let parts = parts(row);
    let of = |part| number(parts, part);
    let folded = recorded.file("cpu.folded");
    let in_sendto =
        folded.lines().filter(|line| line.contains(&format!("({pid})")) && line.contains("__sys_sendto_"));
    let (mut samples, mut on_top) = (0, 0);
    for line in in_sendto {
        let count: u64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        samples += count;
        on_top += if line.contains("softirq") { count } else { 0 };
    }
    assert!(samples >= 500, "{samples} samples in sendto are too few to tell");
    // What lies around the two clock reads is in the samples and not in the part: at most the programs' whole run.
    let programs = recorded.summary["cost"]["programs"].as_array().unwrap();
    let each = |name: &str| {
        let program = programs.iter().find(|program| program["program"] == name).unwrap();
        number(program, "run_ns") / number(program, "runs")
    };
    let around = number(row, "count") * (each("softirq_entry") + each("softirq_exit"));
    let all = (of("on_cpu_ns") + of("spin_ns") + of("irq_ns")) as f64;
    let (least, most) = (of("irq_ns") as f64 / all, (of("irq_ns") + around) as f64 / all);
    let truth = on_top as f64 / samples as f64;
    // Four standard deviations of so many samples.
    let doubt = 4.0 * (truth * (1.0 - truth) / samples as f64).sqrt();
    println!(
        "under interrupts: {least:.3} to {most:.3}, {truth:.3} ± {doubt:.3} of {samples} samples, {parts}"
    );
    assert!(
        truth > 0.1 && truth + doubt >= least && truth - doubt <= most,
        "{least} to {most} is not {truth}"
    );
    assert_eq!(recorded.counted("parts_implausible"), 0);
}
