//! Who is to blame for a long wait: who held the lock of user space, and what who ended the wait had waited for.
//!
//! In: root. Out: every long wait for a mutex names the thread that held it, of each kind of mutex that keeps its owner; no wait names
//! another; one whose owner ended says so; a chain of four threads has its root and its share.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use std::process::Command;

use crate::support::live::{Recorded, Recording, Workload, number};
use crate::support::{can_run, wait_for};
use serde_json::Value;

const ROUNDS: u64 = 20;
const HELD_MS: u64 = 4;

/// Kinds of mutexes that `held-mutex` makes.
const KINDS: [(&str, &str); 6] = [
    ("plain", "glibc"),
    ("recursive", "glibc"),
    ("checking", "glibc"),
    ("robust", "glibc-robust"),
    ("inheriting", "priority"),
    ("shared", "glibc"),
];
const ROBUST_AND_LEFT: usize = 6;
const LEFT: usize = 7;

/// A mutex that a thread takes and holds again and again, by another C library: kind, waits, ms.
const LOCKS: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static pthread_mutex_t lock;
static int ask[2], tell[2];
static long holder, ms;
static void *keep(void *unused) {
    char byte;
    holder = syscall(SYS_gettid);
    while (read(ask[0], &byte, 1) == 1) {
        struct timespec time = {0, ms * 1000000};
        pthread_mutex_lock(&lock);
        write(tell[1], "!", 1);
        nanosleep(&time, 0);
        pthread_mutex_unlock(&lock);
    }
    return unused;
}
static long sleeps(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
}
static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}
int main(int count, char **words) {
    long slept = 0, longer = 0;
    pthread_mutexattr_t kind;
    pthread_t keeper;
    char byte;
    int which = atoi(words[1]);
    long rounds = atol(words[2]);
    ms = atol(words[3]);
    pthread_mutexattr_init(&kind);
    if (which == 1) pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    if (which == 2) pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    if (which == 3) pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    if (which == 4 && pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT)) return 3;
    pthread_mutex_init(&lock, &kind);
    pipe(ask);
    pipe(tell);
    pthread_create(&keeper, 0, keep, 0);
    puts("ready");
    fflush(stdout);
    do if (read(0, &byte, 1) != 1) return 2; while (byte != '\n');
    for (long round = 0; round < rounds; round++) {
        write(ask[1], "?", 1);
        read(tell[0], &byte, 1);
        long before = sleeps(), begin = now();
        pthread_mutex_lock(&lock);
        if (sleeps() > before) slept++, longer += now() - begin >= 1000000;
        pthread_mutex_unlock(&lock);
    }
    printf("{\"workload\":\"locks\",\"pid\":%d,\"holder\":%ld,\"slept\":%ld,\"long\":%ld}\n", getpid(), holder, slept, longer);
    return 0;
}
"#;

/// Workloads in one recording of their name: what each of them knows, and its pid.
fn recorded(name: &str, workloads: Vec<Workload>) -> (Vec<(Value, u32)>, Recorded) {
    let recording = Recording::start(&["--comm", name, "--probe", "offcpu,syscall", "--slow", "2ms"]);
    let truths = workloads.into_iter().map(|workload| {
        let pid = workload.pid();
        (workload.finish(), pid)
    });
    let truths = truths.collect();
    (truths, recording.stop())
}

/// The same of mutexes of those kinds.
fn of_kinds(kinds: &[usize]) -> (Vec<(Value, u32)>, Recorded) {
    let (rounds, ms) = (ROUNDS.to_string(), HELD_MS.to_string());
    let start = |kind: &usize| Workload::start(&["held-mutex", &kind.to_string(), &rounds, &ms]);
    recorded("workload", kinds.iter().map(start).collect())
}

/// Rows of a process's waits for user locks.
fn held(recorded: &Recorded, pid: u32) -> Vec<&Value> {
    let rows = recorded.summary["probes"]["offcpu"]["user_lock_holders"].as_array().unwrap();
    rows.iter().filter(|row| row["pid"] == pid).collect()
}

/// Every long wait is among these, and no more than there were: a wait may be shorter than what counts as long.
fn assert_all(what: &str, rows: &[&Value], truth: &Value) {
    let (waits, long, slept) = (sum(rows, "waits"), number(truth, "long"), number(truth, "slept"));
    println!("{what}: {waits} waits, {long} long ones of {slept}");
    // On a busy machine a lock may be free again when the waiter gets there.
    assert!(long > ROUNDS / 2, "{what}: {truth}");
    assert!(nearly_all(waits, long) && waits <= slept, "{what}: {waits} of {long} to {slept}: {rows:#?}");
}

/// A switch that no program saw is recovered without a stack, and such a wait is in no row here.
const fn nearly_all(waits: u64, long: u64) -> bool {
    long * 9 <= waits * 10
}

fn sum(rows: &[&Value], field: &str) -> u64 {
    rows.iter().map(|row| number(row, field)).sum()
}

#[test]
fn every_long_wait_for_a_mutex_names_its_holder() {
    if !can_run("every_long_wait_for_a_mutex_names_its_holder", &[]) {
        return;
    }
    let (truths, recorded) = of_kinds(&[0, 1, 2, 3, 4, 5]);
    let mut slow = 0;
    for ((truth, pid), (name, told)) in truths.into_iter().zip(KINDS) {
        let (named, others): (Vec<_>, Vec<_>) =
            held(&recorded, pid).into_iter().partition(|row| !row["holder"].is_null());
        let holder = number(&truth, "holder");
        for row in &named {
            assert_eq!(row["holder"]["tid"], holder, "{name}: {row:#}");
            assert_eq!(row["holder"]["told"], told, "{name}: {row:#}");
            assert_eq!(row["holder"]["ending"], false, "{name}: {row:#}");
        }
        let process = if name == "shared" { holder } else { u64::from(pid) };
        assert!(named.iter().all(|row| row["holder"]["pid"] == process), "{name}: {named:#?}");
        assert_all(name, &named, &truth);
        assert_eq!(sum(&named, "ended_by_holder"), sum(&named, "waits"), "{name}: {named:#?} {others:#?}");
        let (total, truth, long) =
            (sum(&named, "total_ns"), number(&truth, "total_ns"), number(&truth, "long"));
        // The waiter's clock has its way to and from the kernel, and its wait for a CPU.
        assert!(total <= truth && total >= long * 1_000_000, "{name}: {total} of {truth}");
        let slowest = recorded.summary["probes"]["syscall"]["slowest_user_locks"].as_array().unwrap();
        let long = |call: &&Value| number(call, "wall_ns") > 2_000_000 && call["tid"] == pid;
        for call in slowest.iter().filter(long) {
            assert_eq!(call["holder"]["tid"], holder, "{name}: {call:#}");
            slow += 1;
        }
    }
    // All kinds share the list of the slowest.
    assert!(slow > 0, "none of the slowest futex waits is one of these");
}

#[test]
fn who_ends_with_a_lock_is_told_to_have_ended() {
    if !can_run("who_ends_with_a_lock_is_told_to_have_ended", &[]) {
        return;
    }
    let (truths, recorded) = of_kinds(&[ROBUST_AND_LEFT, LEFT]);
    let [(truth, pid), (plain, plain_pid)] = &truths[..] else { unreachable!() };
    let holders = truth["holders"].as_array().unwrap();
    let named: Vec<_> = held(&recorded, *pid).into_iter().filter(|row| !row["holder"].is_null()).collect();
    assert_all("robust and left", &named, truth);
    for row in &named {
        assert!(holders.contains(&row["holder"]["tid"]) && row["holder"]["ending"] == true, "{row:#}");
    }
    let rows = held(&recorded, *plain_pid);
    assert!(rows.iter().all(|row| row["holder"].is_null()), "{rows:#?}");
    let ended: Vec<_> =
        rows.into_iter().filter(|row| row["holder_unknown"] == "its owner has ended").collect();
    assert_all("plain and left", &ended, plain);
}

#[test]
fn a_lock_that_keeps_no_owner_names_nobody() {
    if !can_run("a_lock_that_keeps_no_owner_names_nobody", &[]) {
        return;
    }
    // A futex of the workload's own, and Rust's mutex.
    let words = [["futex", "20", "4"], ["chain", "20", "4"]];
    let (truths, recorded) = recorded("workload", words.iter().map(|words| Workload::start(words)).collect());
    for (_, pid) in truths {
        let rows = held(&recorded, pid);
        assert!(rows.iter().all(|row| row["holder"].is_null()), "{rows:#?}");
        let unknown: Vec<_> =
            rows.into_iter().filter(|row| row["holder_unknown"] == "lock keeps no owner").collect();
        assert!(sum(&unknown, "waits") >= ROUNDS / 2, "{unknown:#?}");
    }
}

#[test]
fn musl_names_the_holders_of_all_but_its_plain_mutexes() {
    if !can_run("musl_names_the_holders_of_all_but_its_plain_mutexes", &["musl-gcc"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("locks.c"), directory.path().join("locks"));
    std::fs::write(&source, LOCKS).unwrap();
    let built = Command::new("musl-gcc")
        .args(["-static", "-O1", "-w", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(built.success());
    let kinds = [None, Some("musl"), Some("musl"), Some("musl"), Some("priority")];
    let start = |kind: usize| {
        let words = [kind.to_string(), ROUNDS.to_string(), HELD_MS.to_string()];
        Workload::spawn(Command::new(&program).args(words))
    };
    let (truths, recorded) = recorded("locks", (0..kinds.len()).map(start).collect());
    for ((truth, pid), told) in truths.into_iter().zip(kinds) {
        let rows = held(&recorded, pid);
        let named: Vec<_> = rows.iter().copied().filter(|row| !row["holder"].is_null()).collect();
        match told {
            Some(told) => assert_all(told, &named, &truth),
            None => {
                let (waits, long) = (sum(&rows, "waits"), number(&truth, "long"));
                assert!(named.is_empty() && nearly_all(waits, long), "{waits} of {long}: {rows:#?}");
            }
        }
        let right = |row: &&Value| {
            row["holder"]["tid"] == truth["holder"] && Some(row["holder"]["told"].as_str().unwrap()) == told
        };
        assert!(named.iter().all(right), "{named:#?}");
    }
}

/// Links of a chain: process and call.
fn steps(chain: &Value) -> Vec<(u64, &str)> {
    let steps = chain["chain"].as_array().unwrap().iter();
    steps.map(|step| (number(step, "pid"), step["syscall"].as_str().unwrap_or("none"))).collect()
}

#[test]
fn a_chain_of_four_threads_has_its_root_and_its_share() {
    if !can_run("a_chain_of_four_threads_has_its_root_and_its_share", &[]) {
        return;
    }
    let workload = Workload::start(&["chain", "20", "20"]);
    let pid = workload.pid();
    let recording = Recording::start(&["--comm", "workload", "--probe", "offcpu,syscall"]);
    let truth = workload.finish();
    let recorded = recording.stop();
    let (middle, sleeper) = (number(&truth, "middle"), number(&truth, "sleeper"));
    let expected = [(u64::from(pid), "read"), (middle, "read"), (sleeper, "nanosleep")];
    let rows = recorded.summary["probes"]["offcpu"]["chains"].as_array().unwrap();
    let of = |row: &&Value| row["pid"] == pid && row["syscall"] == "futex";
    let rows: Vec<_> = rows.iter().filter(of).collect();
    let (total, waits) = (sum(&rows, "total_ns"), sum(&rows, "waits"));
    assert!(waits >= ROUNDS / 2, "{rows:#?}");
    let parts = rows.iter().flat_map(|row| row["parts"].as_array().unwrap());
    let whole: Vec<_> = parts.clone().filter(|part| steps(part) == expected).collect();
    let explained = sum(&whole, "ns");
    println!("{explained} of {total} ns are explained by the whole chain");
    // On a busy machine the others wait for a CPU before they wake the next one, which is no wait for what they waited for.
    let (least, most) = (number(&truth, "slept_ns"), number(&truth, "slept_most_ns"));
    let right = explained + total * 12 / 100 >= least && explained <= most.max(least);
    assert!(right, "{explained} of {total}, {least} to {most} slept: {rows:#?}");
    assert_eq!(
        parts.map(|part| number(part, "ns")).sum::<u64>(),
        total,
        "parts are not the whole: {rows:#?}"
    );
    let folded = recorded.file("chains.folded");
    let line = |line: &&str| {
        let at = |name: String| line.find(&name);
        let root = at(format!("workload[{sleeper}] in nanosleep"));
        root.is_some()
            && root < at(format!("workload[{middle}] in read"))
            && line.contains(&format!("({pid})"))
    };
    assert!(folded.lines().any(|found| line(&found)), "{folded}");
    let findings = recorded.summary["evidence"].as_array().unwrap();
    let chain = findings.iter().find(|finding| finding["rule"] == "wait_chain").expect("a finding");
    assert!(chain["finding"].as_str().unwrap().contains(&format!("[{sleeper}] in nanosleep")), "{chain:#}");
}

#[test]
fn a_chain_through_processes_outside_the_target_has_its_root() {
    if !can_run("a_chain_through_processes_outside_the_target_has_its_root", &[]) {
        return;
    }
    let workload = Workload::start(&["chain", "20", "20"]);
    let pid = workload.pid();
    let recording = Recording::start(&["--thread", "keeper", "--probe", "offcpu,syscall"]);
    let truth = workload.finish();
    let recorded = recording.stop();
    let (middle, sleeper) = (number(&truth, "middle"), number(&truth, "sleeper"));
    let expected = [(middle, "read"), (sleeper, "nanosleep")];
    let rows = recorded.summary["probes"]["offcpu"]["chains"].as_array().unwrap();
    let rows: Vec<_> = rows.iter().filter(|row| row["pid"] == pid && row["syscall"] == "read").collect();
    let parts = rows.iter().flat_map(|row| row["parts"].as_array().unwrap());
    let whole: Vec<_> = parts.filter(|part| steps(part) == expected).collect();
    let (explained, total) = (sum(&whole, "ns"), sum(&rows, "total_ns"));
    println!("{explained} of {total} ns are explained by the whole chain");
    // Each of the others is followed from the first wait on that it ended: it takes three waits to know all of them.
    let slept = number(&truth, "slept_ns");
    assert!(
        explained * 100 >= slept * 70 && explained <= total,
        "{explained} of {total}, {slept} slept: {rows:#?}"
    );
}

#[test]
fn a_call_that_waits_for_a_file_lock_names_who_holds_it() {
    if !can_run("a_call_that_waits_for_a_file_lock_names_who_holds_it", &["flock"]) {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    rustix::fs::flock(file.as_file(), rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut waiter = Command::new("flock").arg(file.path()).arg("true").spawn().unwrap();
    let pid = waiter.id();
    wait_for("the waiter to wait", || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks
            .lines()
            .any(|line| line.contains("-> FLOCK") && line.contains(&format!(" {pid} ")))
            .then_some(())
    });
    let recorded = Recording::start(&["--pid", &pid.to_string(), "--probe", "syscall"]).stop();
    rustix::fs::flock(file.as_file(), rustix::fs::FlockOperation::Unlock).unwrap();
    assert!(waiter.wait().unwrap().success());
    let calls = recorded.in_flight(pid);
    assert!(!calls.is_empty() && calls.iter().all(|call| call["syscall"] == "flock"), "{calls:#?}");
    assert!(calls.iter().all(|call| call["locked_by"]["pid"] == std::process::id()), "{calls:#?}");
}
