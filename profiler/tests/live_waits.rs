//! Waits off the CPU against what the kernel tells of the same threads without any tracing: `schedstat`, the
//! thread's own clocks, and who the workload knows to have woken it or to have had the CPU.
//!
//! In: root. Out: every wait counted, within max(2 %, 50 µs per wait) of the witness; wakers and neighbours by pid.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

mod support;

use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use support::can_run;
use support::host::{Off, measured};
use support::live::{Recorded, Recording, Workload, assert_passes, number, stack, workload};

/// Asserts a sum of waits.
fn assert_waits(what: &str, measured: u64, truth: u64, waits: u64) {
    let bound = (truth / 50).max(50_000 * waits);
    println!("{what}: measured {measured}, the witness says {truth}, bound ± {bound}, {waits} waits");
    assert!(measured.abs_diff(truth) <= bound, "{what}: {measured}, not {truth} ± {bound}");
}

/// Rows of one list of a probe, of one process.
fn rows<'r>(recorded: &'r Recorded, probe: &str, list: &str, pid: u32) -> Vec<&'r Value> {
    let rows = recorded.summary["probes"][probe][list].as_array().unwrap();
    rows.iter().filter(|row| row["pid"] == pid).collect()
}

/// Sum of one number over rows.
fn sum(rows: &[&Value], field: &str) -> u64 {
    rows.iter().map(|row| number(row, field)).sum()
}

fn record(words: &[&str]) -> (Recorded, Value, u32) {
    let workload = Workload::start(words);
    let pid = workload.pid();
    let recording = Recording::start(&["--pid", &pid.to_string()]);
    let truth = workload.finish();
    (recording.stop(), truth, pid)
}

/// CPU time and time spent waiting for a CPU of a process's main thread so far, ns.
fn schedstat(pid: u32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat")).unwrap();
    let mut words = text.split(' ').map(|word| word.parse().unwrap());
    (words.next().unwrap(), words.next().unwrap())
}

/// A workload on CPU 0 only.
fn pinned(words: &[&str]) -> Workload {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(workload()).args(["--wait", "--linger"]).args(words);
    Workload::spawn(&mut command)
}

#[test]
fn a_late_answer_is_blocked_time_by_its_stacks_and_its_waker() {
    if !can_run("a_late_answer_is_blocked_time_by_its_stacks_and_its_waker", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&["late-reads", "40", "20"]);
    let mut reads = rows(&recorded, "offcpu", "rows", pid);
    reads.retain(|row| row["syscall"] == "read");
    assert!(reads.iter().all(|row| row["wait"] == "sleep"), "{reads:#?}");
    let (count, total) = (sum(&reads, "count"), sum(&reads, "total_ns"));
    assert_waits("blocked in read", total, number(&truth, "asleep_ns"), count);
    let mut stacks = rows(&recorded, "offcpu", "stacks", pid);
    stacks.retain(|row| row["syscall"] == "read");
    let long: u64 = sum(&stacks, "total_ns");
    assert!(long <= total && long * 100 >= total * 95, "{long} of {total} with stacks");
    let heaviest = stacks[0];
    let names = ["…late_reads", "read()", "ksys_read_[k]", "…pipe_read_[k]"];
    assert_passes(&stack(heaviest), &names);
    let waker = &heaviest["waker"];
    assert!(waker["interrupt"] == false && waker["pid"] != pid && waker["comm"] == "workload", "{waker:#}");
    assert_passes(&stack(waker), &["…Answerer::start", "ksys_write_[k]", "…pipe_write_[k]"]);
    let drawn = recorded.file("offcpu.folded");
    let drawn: u64 = drawn.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
    let all = recorded.summary["probes"]["offcpu"]["rows"].as_array().unwrap();
    let all: u64 = all.iter().map(|row| number(row, "total_ns")).sum();
    assert_eq!(drawn, all, "the picture is all blocked time");
}

#[test]
fn a_timer_is_an_interrupt_that_wakes() {
    if !can_run("a_timer_is_an_interrupt_that_wakes", &[]) {
        return;
    }
    let (recorded, truth, pid) = record(&["nanosleep", "30", "20"]);
    let mut sleeps = rows(&recorded, "offcpu", "rows", pid);
    sleeps.retain(|row| row["syscall"] == "clock_nanosleep" || row["syscall"] == "nanosleep");
    // A switch that nobody saw is counted, and takes a wait along.
    let all = |count: u64| count <= 30 && count + recorded.counted("switch_missed") >= 30;
    assert!(all(sum(&sleeps, "count")), "{sleeps:#?}");
    assert!(sleeps.iter().all(|row| row["class"] == "idle"), "{sleeps:#?}");
    assert!(sum(&sleeps, "total_ns") >= sum(&sleeps, "count") * 20_000_000, "{truth} {sleeps:#?}");
    let mut stacks = rows(&recorded, "offcpu", "stacks", pid);
    stacks.retain(|row| row["class"] == "idle");
    assert!(all(sum(&stacks, "count")), "every one is long: {stacks:#?}");
    assert!(stacks.iter().all(|row| row["waker"]["interrupt"] == true), "{stacks:#?}");
}

#[test]
fn a_neighbour_on_the_cpu_is_named_with_its_time() {
    if !can_run("a_neighbour_on_the_cpu_is_named_with_its_time", &["taskset"]) {
        return;
    }
    let (mut waiting, mut neighbour) =
        (pinned(&["zero-reads", "20", "128"]), pinned(&["burn-70-30", "600000"]));
    let (pid, other) = (waiting.pid(), neighbour.pid());
    neighbour.go();
    let recording = Recording::start(&["--pid", &pid.to_string(), "--probe", "runq"]);
    let (start, before, others) = (Instant::now(), schedstat(pid), schedstat(other));
    waiting.go();
    waiting.report();
    let (after, others_after) = (schedstat(pid), schedstat(other));
    let window = u64::try_from(start.elapsed().as_nanos()).unwrap();
    let recorded = recording.stop();
    let queued = rows(&recorded, "runq", "rows", pid);
    let (count, total) = (sum(&queued, "count"), sum(&queued, "total_ns"));
    assert_waits("waiting for a CPU", total, after.1 - before.1, count);
    let by_cpu = rows(&recorded, "runq", "cpus", pid);
    assert!(by_cpu.iter().all(|row| row["cpu"] == 0), "{by_cpu:#?}");
    assert_eq!(sum(&by_cpu, "total_ns"), total);
    let named = rows(&recorded, "runq", "neighbours", pid);
    let its = named.iter().find(|row| row["neighbour"]["pid"] == other).unwrap();
    assert_eq!(its["neighbour"]["comm"], "workload");
    // It never sleeps: by the wall clock it has the CPU whenever it does not wait for it. Its CPU time is less by what
    // the host takes of that; a wait counts where it ends, so one from before may be too many. It has the CPU while the
    // other waits, and then only; waits too short to ask for neighbours are left out.
    let least = others_after.0 - others.0;
    let most = least.max(window - (others_after.1 - others.1));
    let ns = number(its, "total_ns");
    println!("{its}: between {least} and {most}");
    assert!(ns <= most + most / 50 && ns * 100 >= least * 90, "{ns} ns, its CPU time was {least} to {most}");
    assert!(sum(&named, "total_ns") <= total);
}

#[test]
fn a_thread_that_makes_no_calls_is_followed_from_the_start() {
    if !can_run("a_thread_that_makes_no_calls_is_followed_from_the_start", &["taskset"]) {
        return;
    }
    let (mut burning, mut neighbour) = (pinned(&["burn-70-30", "600000"]), pinned(&["burn-70-30", "600000"]));
    let pid = burning.pid();
    burning.go();
    neighbour.go();
    // It runs by itself now.
    let began = schedstat(pid).0;
    support::wait_for("the workload to burn", || (schedstat(pid).0 > began + 20_000_000).then_some(()));
    let recording = Recording::start(&["--pid", &pid.to_string(), "--probe", "runq"]);
    let before = schedstat(pid).1;
    support::wait_for("a second in the queue", || (schedstat(pid).1 > before + 1_000_000_000).then_some(()));
    let truth = schedstat(pid).1 - before;
    let recorded = recording.stop();
    let queued = rows(&recorded, "runq", "rows", pid);
    assert!(queued.iter().all(|row| row["syscall"].is_null() && row["wait"] == "preempted"), "{queued:#?}");
    let total = sum(&queued, "total_ns");
    // What it waited between attach and our first look, and until the stop, is more.
    println!("measured {total}, the witness says {truth}");
    assert!(total >= truth - truth / 50 && total <= truth * 3 / 2, "{total}, at least {truth}");
}

#[test]
fn page_faults_that_read_a_disk_are_waits_outside_of_calls() {
    let test = "page_faults_that_read_a_disk_are_waits_outside_of_calls";
    if !can_run(test, &[]) {
        return;
    }
    measured(test, disk_faults);
}

fn disk_faults() -> Result<(), Off> {
    let (recorded, truth, pid) = record(&["disk-faults", "32"]);
    let faults = number(&truth, "major_faults");
    if faults < 100 {
        // A file system in memory never reads from a disk.
        let why = format!("/var/tmp gave {faults} major faults only");
        support::skipped("page_faults_that_read_a_disk_are_waits_outside_of_calls", &why);
        return Ok(());
    }
    let mut blocked = rows(&recorded, "offcpu", "rows", pid);
    blocked.retain(|row| row["syscall"].is_null() && row["wait"] == "uninterruptible");
    let count = sum(&blocked, "count");
    let waits = number(&truth, "waits");
    println!("{count} waits, {waits} by the kernel's own count, {faults} faults");
    assert!(count.abs_diff(waits) * 50 <= waits, "{count} waits, not {waits}");
    let (total, truth) = (sum(&blocked, "total_ns"), number(&truth, "asleep_ns"));
    println!("blocked: measured {total}, the witness says {truth}");
    // The witness has what the host took of a fault as sleep, too.
    match total.abs_diff(truth).saturating_sub(truth / 20) {
        0 => Ok(()),
        by_ns => Err(Off { what: format!("{total} is not {truth} within 5 %"), by_ns }),
    }
}
