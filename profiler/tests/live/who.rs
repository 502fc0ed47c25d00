//! Who a row is and what it is called, where the profiler or the target lives in unusual company.
//!
//! In: time namespaces, calls of the 32-bit table, threads with names of their own. Out: `summary.json`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up fails")]

use std::fs;
use std::process::{Command, Stdio};

use crate::support::live::{Recorded, Recording, Workload, assert_within, number, profiler, stack};
use crate::support::{Process, can_run, output, skipped, wait_for};
use serde_json::Value;

/// A recording of one second that runs under `before`.
fn record_under(before: &[&str], arguments: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(before[0]);
    command.args(&before[1..]).arg(profiler()).args(["record", "--json", "-d", "1s", "-o"]);
    output(command.arg(dir.path().join("out")).args(arguments));
    serde_json::from_slice(&fs::read(dir.path().join("out/summary.json")).unwrap()).unwrap()
}

#[test]
fn in_a_time_namespace_ages_are_those_of_the_kernels_clock() {
    let test = "in_a_time_namespace_ages_are_those_of_the_kernels_clock";
    if !can_run(test, &["unshare"]) {
        return;
    }
    let unshare = ["unshare", "--time", "--monotonic", "97200", "--boottime", "200000"];
    let entered =
        Command::new(unshare[0]).args(&unshare[1..]).args(["cat", "/proc/self/timens_offsets"]).output();
    let entered = entered.is_ok_and(|entered| String::from_utf8_lossy(&entered.stdout).contains("97200"));
    if !entered {
        return skipped(test, "there are no time namespaces here");
    }
    let begun = std::time::Instant::now();
    let waits = Workload::start(&["hang-read"]);
    let pid = waits.pid().to_string();
    for before in [&unshare[..], &["env"]] {
        let summary = record_under(before, &["--probe", "syscall", "--pid", &pid]);
        let calls = summary["in_flight"].as_array().unwrap();
        assert_eq!(calls.len(), 1, "{before:?}: {calls:#?}");
        // It began before: its age is the time since the thread last ran.
        let (age, most) = (number(&calls[0], "age_ns"), begun.elapsed().as_nanos());
        assert!(
            age > 0 && u128::from(age) <= most,
            "{before:?}: {age} ns, and {most} ns since it was started"
        );
        let classes = summary["classes"].as_array().unwrap();
        let reused = classes.iter().find(|class| class["class"] == "pid_reused").unwrap();
        assert_eq!(reused["count"], 0, "{before:?}");
    }
}

/// One number is another call in each table: 162 is `nanosleep` of i386 and `sync` of x86-64, 3 is `read` and `close`.
#[test]
fn calls_of_the_i386_table_have_its_names() {
    let test = "calls_of_the_i386_table_have_its_names";
    if !can_run(test, &[]) {
        return;
    }
    let mut waits = Workload::start(&["hang-i386"]);
    waits.go();
    assert_eq!(waits.line(), "ready");
    let mut workload = Workload::start(&["--linger", "i386-calls", "8", "40"]);
    let pid = workload.pid();
    let recording = Recording::start(&[]);
    let mut began = Workload::start(&["hang-i386"]);
    began.go();
    assert_eq!(began.line(), "ready");
    workload.go();
    let truth = workload.report();
    if truth["answered"] == 0 {
        return skipped(test, "this kernel does not answer int 0x80");
    }
    let recorded = recording.stop();
    for (call, class, total) in [
        ("nanosleep (i386)", "idle", "naps_ns"),
        ("read (i386)", "work", "reads_ns"),
        ("read", "work", "own_ns"),
    ] {
        let row = recorded.call(pid, call);
        assert_eq!((number(row, "count"), row["class"].as_str().unwrap()), (8, class), "{call}");
        assert_within(call, number(row, "total_ns"), number(&truth, total), 0.02);
        let slow = recorded.slow(pid, call);
        assert_eq!(slow.iter().map(|row| number(row, "count")).sum::<u64>(), 8, "{call}");
        assert!(stack(slow[0]).contains(&format!("{call}()").as_str()), "{:?}", stack(slow[0]));
        assert!(recorded.file("syscall.folded").contains(&format!(";{call}();")), "{call}");
        let mut waits = recorded.rows("offcpu", pid).into_iter().filter(|row| row["syscall"] == call);
        assert!(waits.any(|row| number(row, "count") >= 8), "{call}");
    }
    assert_eq!(number(recorded.call(pid, "getppid (i386)"), "count"), 8);
    assert_eq!(number(recorded.call(pid, "getppid"), "count"), 8);
    for absent in ["sync", "semop", "close (i386)"] {
        assert!(recorded.find_call(pid, absent).is_none(), "{absent}");
    }
    let slowest = recorded.summary["probes"]["syscall"]["slowest"].as_array().unwrap();
    let mut reads = slowest.iter().filter(|call| call["pid"] == pid && call["syscall"] == "read (i386)");
    let read = reads.next().unwrap();
    assert!(read["object"].as_str().unwrap().starts_with("pipe:["), "{read:#}");
    assert_eq!(read["arguments"][2], 1, "{read:#}");
    // Begun before the recording, and inside of it.
    for hangs in [&waits, &began] {
        let calls = recorded.in_flight(hangs.pid());
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0]["syscall"], "read (i386)");
    }
}

/// A program of 32 bits: naps of 50 ms, then a read that ends when its input does.
const OF_32_BITS: &str = r#"
static int call(int number, int first, void *second, int third) {
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
    return result;
}
void _start(void) {
    static int time[2] = {0, 50000000};
    char byte;
    for (int nap = 0; nap < 20; nap++)
        call(162, (int)time, 0, 0);
    call(3, 0, &byte, 1);
    call(252, 0, 0, 0);
}
"#;

#[test]
fn a_program_of_32_bits_naps_and_syncs_nothing() {
    let test = "a_program_of_32_bits_naps_and_syncs_nothing";
    if !can_run(test, &["cc"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("naps.c"), dir.path().join("naps"));
    fs::write(&source, OF_32_BITS).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args([
        "-m32",
        "-O1",
        "-static",
        "-nostdlib",
        "-fno-stack-protector",
        "-fno-pie",
        "-no-pie",
        "-o",
    ]);
    let compiled = compiler.arg(&program).arg(&source).output().unwrap();
    if !compiled.status.success() {
        return skipped(test, "this compiler makes no programs of 32 bits");
    }
    let start = || Command::new(&program).stdin(Stdio::piped()).spawn();
    let Ok(_) = start().map(Process) else { return skipped(test, "this kernel runs no programs of 32 bits") };
    let recording = Recording::start(&["--probe", "syscall"]);
    let mut naps = Process(start().unwrap());
    let pid = naps.pid();
    drop(naps.0.stdin.take());
    wait_for("the program to end", || naps.0.try_wait().unwrap());
    let recorded = recording.stop();
    let row = recorded.call(pid, "nanosleep (i386)");
    assert_eq!((number(row, "count"), row["class"].as_str().unwrap()), (20, "idle"));
    assert!(number(row, "total_ns") >= 20 * 50_000_000, "{row:#}");
    assert_eq!(number(recorded.call(pid, "read (i386)"), "count"), 1);
    for absent in ["sync", "nanosleep", "execve (i386)"] {
        assert!(recorded.find_call(pid, absent).is_none(), "{absent}");
    }
}

/// The names of the threads of those of the longest calls that are reads of a process.
fn readers(recorded: &Recorded, pid: u32) -> Vec<String> {
    let slowest = recorded.summary["probes"]["syscall"]["slowest"].as_array().unwrap();
    let reads = slowest.iter().filter(|call| call["pid"] == pid && call["syscall"] == "read");
    let mut threads: Vec<_> = reads.map(|call| call["thread"].as_str().unwrap().to_owned()).collect();
    threads.sort_unstable();
    threads
}

#[test]
fn a_process_is_found_by_its_name_and_threads_by_theirs() {
    let test = "a_process_is_found_by_its_name_and_threads_by_theirs";
    if !can_run(test, &[]) {
        return;
    }
    for (target, threads) in [
        (&["--comm", "workload"][..], &["gc worker", "pool-0", "pool-1"][..]),
        (&["--thread", "pool-?"], &["pool-0", "pool-1"]),
        (&["--comm", "workload", "--thread", "*wor*", "--thread", "none"], &["gc worker"]),
        (&["--comm", "pool-0"], &[]),
    ] {
        let mut workload = Workload::start(&["--linger", "named-threads", "500", "50"]);
        let pid = workload.pid();
        let recording = Recording::start(&[target, &["--probe", "syscall,offcpu"]].concat());
        workload.go();
        assert_eq!(workload.report()["threads"], 3);
        let recorded = recording.stop();
        let count = recorded.find_call(pid, "getppid").map_or(0, |row| number(row, "count"));
        assert_eq!(count, 500 * threads.len() as u64, "{target:?}");
        assert_eq!(readers(&recorded, pid), threads, "{target:?}");
        let rows = recorded.rows("syscall", pid);
        assert!(rows.iter().all(|row| row["comm"] == "workload"), "{target:?}: {rows:#?}");
    }
}
