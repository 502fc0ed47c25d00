//! Many of everything: a hundred thousand threads, ten thousand processes, ids that are given again, execs by
//! threads. What is counted, what it takes of memory, and what one task leaves to the next of its id.
//!
//! In: root; gigabytes of memory for the crowds, which are smaller where there are fewer, and say so. Out: count
//! and recorded losses are the truth; memory below the bounds that docs/performance.md states.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use std::fs;

use crate::support::limits::{CROWD, PidMax, crowd, memory};
use crate::support::live::{Recorded, Recording, Workload, number};
use crate::support::{can_run, skipped};
use serde_json::Value;

/// Processes that shall come and go.
const PROCESSES: u64 = 10_000;
/// What a thread of the crowd takes of the machine's memory, bytes: stacks and kernel records.
const BYTES_PER_THREAD: u64 = 48 << 10;
/// Memory of the machine that the crowd leaves alone, bytes.
const SPARED: u64 = 2 << 30;

/// What docs/performance.md states under "Memory", bytes: kernel memory per thread inside the target,
const STATE_PER_THREAD: u64 = 2 << 10;
/// the profiler's own memory, what each process and each call in flight at the end adds to it,
const RSS: u64 = 64 << 20;
const RSS_PER_PROCESS: u64 = 12 << 10;
const RSS_PER_CALL: u64 = 1 << 10;
/// its maps, and what each possible CPU adds to them.
const MAPS: u64 = 72 << 20;
const MAPS_PER_CPU: u64 = 128 << 10;

/// How many threads this machine has room for; says when they are fewer than they should be.
fn room_for_crowd(test: &str) -> u64 {
    let threads: u64 = fs::read_to_string("/proc/sys/kernel/threads-max").unwrap().trim().parse().unwrap();
    let room = memory("MemAvailable").saturating_sub(SPARED) / BYTES_PER_THREAD;
    let count = crowd().min(threads.saturating_sub(10_000)).min(room);
    if count < CROWD {
        skipped(test, &format!("with {CROWD} threads: there is room or time for {count}, done with these"));
    }
    count
}

/// Records a workload from before its start to after its end.
fn record(words: &[&str]) -> (Recorded, Value, u32) {
    let workload = Workload::start(words);
    let pid = workload.pid();
    let recording = Recording::start(&["--pid", &pid.to_string()]);
    let truth = workload.finish();
    let recorded = recording.stop();
    println!("{truth}");
    (recorded, truth, pid)
}

/// CPUs that per-CPU memory is there for.
fn possible_cpus() -> u64 {
    let ranges = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
    ranges.trim().rsplit(['-', ',']).next().unwrap().parse::<u64>().unwrap() + 1
}

fn assert_memory(recorded: &Recorded, (processes, in_flight): (u64, u64)) {
    let maps = number(&recorded.summary["cost"], "map_bytes");
    let (rss, bound) = (recorded.peak_rss, RSS + processes * RSS_PER_PROCESS + in_flight * RSS_PER_CALL);
    println!("maps with 256 CPUs: {}", recorded.summary["cost"]["map_bytes_256_cpus"]);
    let most = MAPS + MAPS_PER_CPU * possible_cpus();
    println!("profiler: {rss} bytes resident at most, bound {bound}; maps {maps} bytes, bound {most}");
    assert!(rss > 1 << 20 && rss <= bound, "{rss} bytes resident, {bound} stated");
    assert!(maps > 1 << 20 && maps <= most, "{maps} bytes of maps, {most} stated");
}

#[test]
fn slow_a_hundred_thousand_threads_are_counted_to_the_call() {
    let test = "slow_a_hundred_thousand_threads_are_counted_to_the_call";
    if !can_run(test, &[]) {
        return;
    }
    let (threads, _pid_max) = (room_for_crowd(test), PidMax::raise(4 * CROWD));
    let mut workload = Workload::start(&["crowd", &threads.to_string()]);
    let pid = workload.pid();
    let recording = Recording::start(&["--pid", &pid.to_string()]);
    workload.go();
    assert_eq!(number(&workload.report(), "threads"), threads, "all live at once");
    let truth = workload.finish();
    let recorded = recording.stop();
    // Chains remember the waits of some thousand threads, and say how many more there were.
    let unremembered =
        |loss: &String| loss.ends_with("long waits of threads without room to remember them\"");
    let losses: Vec<_> = recorded.losses().into_iter().filter(|loss| !unremembered(loss)).collect();
    assert_eq!(losses, [""; 0]);
    let made = recorded.call(pid, "clone3");
    recorded.assert_counted("clone3", number(made, "count"), threads);
    assert_eq!(made["errors"], serde_json::json!({}));
    recorded.assert_counted("clones", recorded.counted("clone_child"), threads);
    let counted = number(recorded.call(pid, "getppid"), "count");
    recorded.assert_counted("getppid", counted, number(&truth, "getppid_calls"));
    // Each waits once, and `exit` never returns.
    assert!(number(recorded.call(pid, "futex"), "count") >= threads);
    assert!(recorded.find_call(pid, "exit").is_none());
    assert_eq!((recorded.counted("ended_by_death"), recorded.counted("refused_call")), (0, 0));
    assert_eq!(recorded.in_flight(pid).len(), 0);
    assert_memory(&recorded, (1, 0));
}

#[test]
fn slow_a_hundred_thousand_waiting_threads_take_the_memory_that_is_stated() {
    let test = "slow_a_hundred_thousand_waiting_threads_take_the_memory_that_is_stated";
    if !can_run(test, &[]) {
        return;
    }
    let (threads, _pid_max) = (room_for_crowd(test), PidMax::raise(4 * CROWD));
    let mut workload = Workload::start(&["crowd", &threads.to_string()]);
    workload.go();
    assert_eq!(number(&workload.report(), "threads"), threads);
    let before = memory("Slab");
    let recording = Recording::start(&["--pid", &workload.pid().to_string()]);
    // All of them wait in a call: attaching makes the state of each.
    let state = memory("Slab").saturating_sub(before);
    let recorded = recording.stop();
    println!("{threads} threads: {state} bytes of state, {} each", state / threads);
    assert!((1..=STATE_PER_THREAD * threads).contains(&state), "{state} bytes for {threads} threads");
    assert_eq!(recorded.losses(), [""; 0]);
    let calls = recorded.in_flight(workload.pid());
    // And the leader, which waits for a line.
    assert_eq!(calls.len() as u64, threads + 1);
    assert!(calls.iter().all(|call| call["at_least"] == true));
    let waiting = calls.iter().filter(|call| call["syscall"] == "futex").count() as u64;
    assert_eq!(waiting, threads);
    assert_memory(&recorded, (1, threads + 1));
    workload.finish();
}

#[test]
fn slow_ten_thousand_processes_come_and_go() {
    let test = "slow_ten_thousand_processes_come_and_go";
    if !can_run(test, &[]) {
        return;
    }
    let (recorded, truth, _) = record(&["crowd-processes", &PROCESSES.to_string(), "16"]);
    let lost = recorded.counted("syscall_row_full");
    // Not of `summary.json`, which has no room for the rows of so many, and says so.
    let profile = profiler::capture::read(&recorded.output()).unwrap();
    for (call, number_of) in [("getppid", libc::SYS_getppid), ("nanosleep", libc::SYS_nanosleep)] {
        let rows = profile.syscall.rows.iter().filter(|((_, nr), _)| i64::from(*nr) == number_of);
        let counted: u64 = rows.map(|(_, row)| row.latency.count()).sum();
        let truth = number(&truth, &format!("{call}_calls"));
        println!("{call}: {counted} of {truth}, {lost} recorded as lost");
        assert!(counted <= truth);
        recorded.assert_counted(call, counted + lost.min(truth - counted), truth);
    }
    recorded.assert_counted("clones", recorded.counted("clone_child"), PROCESSES);
    assert_eq!((recorded.counted("ended_by_death"), recorded.counted("refused_call")), (0, 0));
    assert_memory(&recorded, (PROCESSES, 0));
}

/// What heirs of one id report: counts are exact, and no call is longer than the longest of them all.
fn assert_heirs(recorded: &Recorded, truth: &Value, pid: u32) {
    // How many of them die in a second is this machine's.
    let losses = recorded.losses();
    let untold = recorded.counted("death_untold");
    assert_eq!(losses.len(), usize::from(untold > 0), "{losses:?}");
    let getppid = number(recorded.call(pid, "getppid"), "count");
    recorded.assert_counted("getppid", getppid, number(truth, "getppid_calls"));
    let reads = recorded.call(pid, "read");
    // Those in which heirs were killed ended there.
    let killed = |name: &str| truth.get(name).and_then(Value::as_u64).unwrap_or(0);
    recorded.assert_counted("read", number(reads, "count"), number(truth, "calls") + killed("killed"));
    let failed = reads["errors"].get("EINTR").and_then(Value::as_u64).unwrap_or(0);
    assert_eq!(failed, killed("killed"), "{reads:#}");
    let (longest, total) = (number(reads, "max_ns"), number(reads, "total_ns"));
    println!("reads: {longest} ns at most, {total} ns in all");
    // Its own clock also sees the byte that is sent before each read.
    assert!(longest <= number(truth, "max_ns").max(killed("killed_max_ns")), "{reads:#}");
    let most = number(truth, "total_ns") + killed("killed_total_ns");
    assert!((number(truth, "total_ns") / 2..=most).contains(&total), "{reads:#}");
    let clones = recorded.counted("clone_child");
    assert!(clones >= number(truth, "count"), "{clones} children and threads: none found its parent's call");
    assert_eq!(recorded.counted("refused_call"), 0, "an exit without its enter");
    assert_eq!(recorded.in_flight(pid).len(), 0);
}

#[test]
fn a_thread_inherits_nothing_with_its_id() {
    if !can_run("a_thread_inherits_nothing_with_its_id", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&["heir-threads", "200", "5"]);
    assert_heirs(&recorded, &truth, pid);
    // All threads, and the child that answers them.
    assert_eq!(recorded.counted("clone_child"), 201);
    assert!(recorded.find_call(pid, "exit").is_none(), "it never returns");
    assert_eq!(recorded.counted("ended_by_death"), 0);
}

#[test]
fn a_process_inherits_nothing_from_one_killed_inside_a_call() {
    if !can_run("a_process_inherits_nothing_from_one_killed_inside_a_call", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&["heir-processes", "200", "5"]);
    let id = u32::try_from(number(&truth, "id")).unwrap();
    assert_ne!(id, pid);
    assert_heirs(&recorded, &truth, id);
    assert_eq!(recorded.counted("clone_child"), 201);
    assert_eq!(recorded.counted("ended_by_death"), 200, "each in a read that never returned");
    let told = recorded.summary["deaths"].as_array().unwrap().len() as u64;
    recorded.assert_counted("deaths", told + recorded.counted("death_untold"), 200);
}

#[test]
fn an_exec_by_a_thread_is_one_call_and_loses_none() {
    if !can_run("an_exec_by_a_thread_is_one_call_and_loses_none", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&["heir-execs", "50"]);
    assert_eq!(recorded.losses(), [""; 0]);
    let getppid = number(recorded.call(pid, "getppid"), "count");
    recorded.assert_counted("getppid", getppid, number(&truth, "getppid_calls"));
    let execs = recorded.call(pid, "execve");
    recorded.assert_counted("execve", number(execs, "count"), 50);
    assert_eq!(execs["errors"], serde_json::json!({}));
    let (total, truth) = (number(execs, "total_ns"), number(&truth, "execs_ns"));
    println!("execs: {total} ns, from before each to the new program's first clock read {truth} ns");
    assert!(total <= truth, "{execs:#}");
    let pauses = recorded.call(pid, "pause");
    assert_eq!((number(pauses, "count"), &pauses["errors"]), (50, &serde_json::json!({ "EINTR": 50 })));
    assert_eq!(recorded.counted("ended_by_death"), 50, "each leader inside it");
    recorded.assert_counted("clones", recorded.counted("clone_child"), 50);
    assert_eq!(recorded.counted("refused_call"), 0, "an exit without its enter");
    assert_eq!(recorded.in_flight(pid).len(), 0);
}
