//! Waits off the CPU against what the kernel tells of the same threads without any tracing: `schedstat`, the
//! thread's own clocks, and who the workload knows to have woken it or to have had the CPU.
//!
//! In: root. Out: every wait counted, within max(2 %, 50 µs per wait) of the witness; wakers and neighbours by pid.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use std::time::Instant;

use crate::support::can_run;
use crate::support::host::measured;
use crate::support::live::{Recorded, Recording, Workload, assert_passes, number, stack};
use judge::bounds::{self, Off};
use judge::taken;
use serde_json::Value;

/// A sum of waits against its witness.
fn waits(what: &str, measured: u64, truth: u64, waits: u64) -> Result<(), Off> {
    println!("{waits} waits, {}", bounds::near(what, measured, truth, (truth / 50).max(50_000 * waits))?);
    Ok(())
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

/// Also where nobody sees them come back: what is made up for is in the call that they slept in.
#[test]
fn threads_that_only_sleep_do_so_in_their_call() {
    if !can_run("threads_that_only_sleep_do_so_in_their_call", &[]) {
        return;
    }
    const NAP_NS: u64 = 20_000_000;
    let workload = Workload::start(&["sleepers", "200", "10", "20"]);
    let pid = workload.pid();
    let options = ["--probe", "syscall,offcpu", "--ignore-arrivals", "300", "--pid", &pid.to_string()];
    let recording = Recording::start(&options);
    let truth = workload.finish();
    let recorded = recording.stop();
    assert!(recorded.counted("switch_recovered") >= 100, "nothing was made up for");
    let mut slept = rows(&recorded, "offcpu", "rows", pid);
    slept.retain(|row| row["wait"] == "sleep");
    let (naps, outside): (Vec<_>, Vec<_>) = slept.into_iter().partition(|row| !row["syscall"].is_null());
    let napped =
        sum(&naps.into_iter().filter(|row| row["syscall"] == "nanosleep").collect::<Vec<_>>(), "total_ns");
    println!("{napped} ns of {truth} in nanosleep");
    assert!(napped >= number(&truth, "least_total_ns") / 100 * 98, "{napped} ns in nanosleep of {truth}");
    assert!(sum(&outside, "total_ns") < NAP_NS, "as much as a nap outside of calls: {outside:#?}");
}

#[test]
fn a_late_answer_is_blocked_time_by_its_stacks_and_its_waker() {
    let test = "a_late_answer_is_blocked_time_by_its_stacks_and_its_waker";
    if can_run(test, &[]) {
        measured(test, late_answers);
    }
}

fn late_answers() -> Result<(), Off> {
    let (recorded, truth, pid) = record(&["late-reads", "40", "20"]);
    let mut reads = rows(&recorded, "offcpu", "rows", pid);
    reads.retain(|row| row["syscall"] == "read");
    assert!(reads.iter().all(|row| row["wait"] == "sleep"), "{reads:#?}");
    let (count, total) = (sum(&reads, "count"), sum(&reads, "total_ns"));
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
    waits("blocked in read", total, number(&truth, "asleep_ns"), count)
}

#[test]
fn a_timer_is_an_interrupt_that_wakes() {
    if !can_run("a_timer_is_an_interrupt_that_wakes", &[]) {
        return;
    }
    measured("a_timer_is_an_interrupt_that_wakes", timer);
}

/// Wakers that nobody saw: those are told as not known, and a run with one is off. None is told wrongly.
fn not_seen<'v>(wakers: impl Iterator<Item = (&'v Value, u64)>) -> Result<(), Off> {
    let mut by_ns = 0;
    for (waker, ns) in wakers {
        assert!(waker.is_null(), "{waker:#}");
        by_ns += ns;
    }
    if by_ns == 0 { Ok(()) } else { Err(Off { what: "waits that nobody was seen ending".into(), by_ns }) }
}

fn timer() -> Result<(), Off> {
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
    let others = stacks.iter().filter(|row| row["waker"]["interrupt"] != true);
    not_seen(others.map(|row| (&row["waker"], number(row, "total_ns"))))
}

#[test]
fn a_neighbour_on_the_cpu_is_named_with_its_time() {
    let test = "a_neighbour_on_the_cpu_is_named_with_its_time";
    if can_run(test, &["taskset"]) {
        measured(test, neighbour);
    }
}

fn neighbour() -> Result<(), Off> {
    let (mut waiting, mut neighbour) =
        (Workload::pinned(0, &["long-reads", "20", "20"]), Workload::pinned(0, &["burn-70-30", "600000"]));
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
    let by_cpu = rows(&recorded, "runq", "cpus", pid);
    assert!(by_cpu.iter().all(|row| row["cpu"] == crate::support::cpus()[0]), "{by_cpu:#?}");
    assert_eq!(sum(&by_cpu, "total_ns"), total);
    let named = rows(&recorded, "runq", "neighbours", pid);
    let its = named.iter().find(|row| row["neighbour"]["pid"] == other).unwrap();
    assert_eq!(its["neighbour"]["comm"], "workload");
    // It never sleeps: by the wall clock it has the CPU whenever it does not wait for it. Its CPU time is less by what
    // the host takes of that; a wait counts where it ends, so one from before may be too many. It has the CPU while the
    // other waits, and then only.
    let least = others_after.0 - others.0;
    let most = least.max(window - (others_after.1 - others.1));
    let ns = number(its, "total_ns");
    println!("{its}: between {least} and {most}");
    let all = sum(&named, "total_ns");
    assert!(all <= total);
    // Short waits are nobody's, and what lies before the last 32 turns of a long one, of which a busy machine makes many.
    let nobodys = total - all;
    let held = ns <= most + most / 50 && (ns + nobodys) * 100 >= least * 95;
    assert!(held, "{ns} ns and {nobodys} ns of nobody, its CPU time was {least} to {most}");
    waits("waiting for a CPU", total, after.1 - before.1, count)
}

#[test]
fn a_thread_that_makes_no_calls_is_followed_from_the_start() {
    if !can_run("a_thread_that_makes_no_calls_is_followed_from_the_start", &["taskset"]) {
        return;
    }
    let burn = ["burn-70-30", "600000"];
    let (mut burning, mut neighbour) = (Workload::pinned(0, &burn), Workload::pinned(0, &burn));
    let pid = burning.pid();
    burning.go();
    neighbour.go();
    // It runs by itself now.
    let began = schedstat(pid).0;
    crate::support::wait_for("the workload to burn", || {
        (schedstat(pid).0 > began + 20_000_000).then_some(())
    });
    let earlier = schedstat(pid).1;
    let throttled_before = taken::throttled_ns();
    let recording = Recording::start(&["--pid", &pid.to_string(), "--probe", "runq"]);
    let before = schedstat(pid).1;
    crate::support::wait_for("a second in the queue", || {
        (schedstat(pid).1 > before + 1_000_000_000).then_some(())
    });
    let truth = schedstat(pid).1 - before;
    let recorded = recording.stop();
    let most = schedstat(pid).1 - earlier;
    let queued = rows(&recorded, "runq", "rows", pid);
    // Where a quota stopped our cgroup meanwhile, waits for it are told apart; nowhere else are there any.
    let throttled = taken::throttled_ns() > throttled_before;
    let known = |row: &Value| row["wait"] == "preempted" || throttled && row["wait"] == "throttled";
    assert!(queued.iter().any(|row| row["wait"] == "preempted"), "{queued:#?}");
    assert!(queued.iter().all(|row| row["syscall"].is_null() && known(row)), "{queued:#?}");
    let total = sum(&queued, "total_ns");
    // What it waited between attach and our first look, and until the stop, is more.
    println!("measured {total}, the witness says {truth} to {most}");
    assert!(total >= truth - truth / 50 && total <= most + most / 50, "{total}, not {truth} to {most}");
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
        crate::support::skipped("page_faults_that_read_a_disk_are_waits_outside_of_calls", &why);
        return Ok(());
    }
    let mut blocked = rows(&recorded, "offcpu", "rows", pid);
    blocked.retain(|row| row["syscall"].is_null() && row["wait"] == "uninterruptible");
    let count = sum(&blocked, "count");
    let waits = number(&truth, "waits");
    println!("{count} waits, {waits} by the kernel's own count, {faults} faults");
    assert!(count.abs_diff(waits) * 50 <= waits, "{count} waits, not {waits}");
    // The kernel stops the thread's CPU clock as it begins to switch and starts its wait for a CPU as it wakes it; our programs
    // run within a switch, and within a wakeup, of that. So a wait is off by one of each at most, and both are measured.
    let (total, switch_ns) = (sum(&blocked, "total_ns"), number(&truth, "switch_ns"));
    let asleep = number(&truth, "asleep_ns");
    let each = (total as f64 - asleep as f64) / count as f64;
    println!("a wait is {each:+.0} ns off, a switch and a wakeup take {switch_ns} ns");
    // The witness has what the host took of a fault as sleep, too.
    println!("{}", bounds::near("blocked", total, asleep, switch_ns * count)?);
    Ok(())
}
