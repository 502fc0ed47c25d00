//! Counters of the target's cgroups, and the limits they come from.
//!
//! In: cgroups with a CPU quota or a memory limit, and workloads that begin and end in them while a
//! recording runs. Out: the recording's counters equal what the kernel's own files say went by, and
//! what is not normal is among the findings with its number.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use std::path::Path;

use crate::support::live::{Recorded, Recording, number, workload};
use crate::support::{Cgroup, can_run, skipped};
use serde_json::Value;

/// A cgroup of the controller in whichever hierarchy has it, with one of these limits set: file, value.
fn limited(test: &str, controller: &str, limits: &[(&str, &str)]) -> Option<Cgroup> {
    let name = format!("prof-{test}-{}", std::process::id());
    for hierarchy in [controller, ""] {
        let Some(cgroup) = Cgroup::make(hierarchy, &name) else { continue };
        let set = |(file, value): &(&str, &str)| {
            let path = cgroup.dir.join(file);
            path.exists() && std::fs::write(path, value).is_ok()
        };
        // All are tried: v1 and v2 files stand in one list.
        if limits.iter().filter(|limit| set(limit)).count() > 0 {
            return Some(cgroup);
        }
    }
    skipped(test, &format!("no hierarchy with the {controller} controller can be limited here"));
    None
}

/// Records the cgroup while a shell in it runs this script.
fn record(cgroup: &Cgroup, script: &str) -> Recorded {
    let dir = cgroup.dir.to_str().unwrap();
    let script = format!("echo $$ > {dir}/cgroup.procs; {script}");
    Recording::start(&["--cgroup", dir, "--probe", "syscall", "--", "sh", "-c", &script]).ended()
}

/// A number in a file of `name number` lines, or the file's only number.
fn told(dir: &Path, file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(dir.join(file)).ok()?;
    let named = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
    text.lines().find_map(named)
}

/// How long a cgroup was stopped by its quota so far, µs.
fn stopped_us(cgroup: &Cgroup) -> u64 {
    let v1 = told(&cgroup.dir, "cpu.stat", "throttled_time ").map(|ns| ns / 1000);
    v1.or_else(|| told(&cgroup.dir, "cpu.stat", "throttled_usec ")).unwrap()
}

fn counter(recorded: &Recorded, name: &str) -> u64 {
    let counters = &recorded.summary["counters"];
    counters[name].as_u64().unwrap_or_else(|| panic!("no {name} in {counters:#}"))
}

fn evidence<'r>(recorded: &'r Recorded, rule: &str) -> &'r Value {
    let found = recorded.summary["evidence"].as_array().unwrap();
    let found = found.iter().find(|finding| finding["rule"] == rule);
    found.unwrap_or_else(|| panic!("no {rule} in {:#}", recorded.summary["evidence"]))
}

fn limits(recorded: &Recorded) -> String {
    recorded.summary["environment"]["cgroups"].to_string()
}

#[test]
fn throttling_is_what_the_cgroup_says_and_the_first_finding() {
    let test = "throttling";
    if !can_run(test, &["sh"]) {
        return;
    }
    let quota = [("cpu.cfs_period_us", "50000"), ("cpu.cfs_quota_us", "10000"), ("cpu.max", "10000 50000")];
    let Some(cgroup) = limited(test, "cpu", &quota) else { return };
    let periods = || told(&cgroup.dir, "cpu.stat", "nr_throttled ").unwrap();
    let before = (stopped_us(&cgroup), periods());
    let recorded = record(&cgroup, &format!("{} burn-70-30 200", workload().display()));
    let truth = (stopped_us(&cgroup) - before.0, periods() - before.1);
    assert!(truth.1 >= 5 && truth.0 > 100_000, "the workload was not throttled: {truth:?}");
    let found = (counter(&recorded, "cgroup_throttled_us"), counter(&recorded, "cgroup_throttled_periods"));
    assert_eq!(found, truth);
    assert!(limits(&recorded).contains("10000"), "{}", limits(&recorded));
    let throttled = evidence(&recorded, "throttled");
    assert_eq!(throttled["numbers"]["cgroup_throttled_periods"], truth.1);
    assert!(recorded.summary["findings"][0].as_str().unwrap().contains("CPU quota"), "{throttled:#}");
}

#[test]
fn a_throttled_thread_waits_as_long_as_its_cgroup_was_stopped() {
    let test = "throttled_waits";
    if !can_run(test, &["sh"]) {
        return;
    }
    let quota = [("cpu.cfs_period_us", "50000"), ("cpu.cfs_quota_us", "10000"), ("cpu.max", "10000 50000")];
    let Some(cgroup) = limited(test, "cpu", &quota) else { return };
    let dir = cgroup.dir.to_str().unwrap();
    let script = format!("echo $$ > {dir}/cgroup.procs; exec {} burn-70-30 200", workload().display());
    let before = stopped_us(&cgroup);
    let recorded = Recording::start(&["--cgroup", dir, "--probe", "runq", "--", "sh", "-c", &script]).ended();
    let burnt: Value = serde_json::from_str(recorded.stdout.lines().next().unwrap()).unwrap();
    let most = number(&burnt, "wall_ns") - number(&burnt, "seventy_ns") - number(&burnt, "thirty_ns");
    let truth = (stopped_us(&cgroup) - before) * 1000;
    assert!(truth > 100_000_000, "the workload was not throttled: {truth} ns");
    let rows = recorded.summary["probes"]["runq"]["rows"].as_array().unwrap().iter();
    let throttled: u64 =
        rows.filter(|row| row["wait"] == "throttled").map(|row| number(row, "total_ns")).sum();
    println!("throttled: measured {throttled}, cpu.stat says {truth}");
    // Once its cgroup may go on the thread queues like any other, in the same wait; it never sleeps, so whenever it does
    // not run it is one or the other.
    let most = most.max(truth) * 51 / 50;
    assert!(throttled * 50 >= truth * 49 && throttled <= most, "{throttled} is not {truth} to {most}");
}

#[test]
fn a_memory_limit_that_is_reached_is_counted() {
    let test = "memory_limit";
    if !can_run(test, &["sh", "dd"]) {
        return;
    }
    let limit = [("memory.limit_in_bytes", "16777216"), ("memory.max", "16777216")];
    let Some(cgroup) = limited(test, "memory", &limit) else { return };
    let hits = || {
        let v1 = told(&cgroup.dir, "memory.failcnt", "");
        v1.or_else(|| told(&cgroup.dir, "memory.events", "max ")).unwrap()
    };
    let before = hits();
    let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    let recorded = record(&cgroup, &format!("dd if=/dev/zero of={} bs=1M count=64", file.path().display()));
    // Write-back may go on in the cgroup after the recording, but reaches no limit.
    let truth = hits() - before;
    assert!(truth >= 10, "the limit was reached {truth} times only");
    assert_eq!(counter(&recorded, "cgroup_memory_max"), truth);
    assert!(limits(&recorded).contains("16777216"), "{}", limits(&recorded));
    assert_eq!(evidence(&recorded, "memory_limit")["numbers"]["cgroup_memory_max"], truth);
}

#[test]
fn major_faults_are_the_workloads_own() {
    let test = "major_faults";
    if !can_run(test, &["sh"]) {
        return;
    }
    let none = [("memory.limit_in_bytes", "-1"), ("memory.max", "max")];
    let Some(cgroup) = limited(test, "memory", &none) else { return };
    let answer = tempfile::NamedTempFile::new().unwrap();
    let script = format!("{} disk-faults 8 > {}", workload().display(), answer.path().display());
    let recorded = record(&cgroup, &script);
    let report: Value = serde_json::from_slice(&std::fs::read(answer.path()).unwrap()).unwrap();
    let truth = report["major_faults"].as_u64().unwrap();
    if truth < 100 {
        // A file system in memory never reads from a disk.
        skipped(test, &format!("/var/tmp gave {truth} major faults only"));
        return;
    }
    let found = counter(&recorded, "cgroup_major_faults");
    // The shell and the program's own first pages may fault, too.
    assert!((truth..truth + 200).contains(&found), "{found} found, {truth} in the workload");
    assert!(counter(&recorded, "major_faults") >= found);
    assert!(evidence(&recorded, "major_faults")["finding"].as_str().unwrap().contains("of the target"));
}

#[test]
fn the_network_counted_is_the_targets_own() {
    let test = "network_namespace";
    if !can_run(test, &["unshare", "sleep"]) {
        return;
    }
    let mut command = std::process::Command::new("unshare");
    let sleeper = crate::support::Process(command.args(["--net", "sleep", "1000"]).spawn().unwrap());
    let pid = sleeper.pid();
    crate::support::wait_for("the sleeper to be in its network", || {
        let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        (link(&pid.to_string())? != link("self")?).then_some(())
    });
    let recorded = Recording::start(&["--pid", &pid.to_string(), "-d", "500ms"]).ended();
    let environment = &recorded.summary["environment"];
    assert_eq!(environment["network_of"], format!("pid {pid}"));
    // Nothing was ever sent there, while this host has sent something since it booted.
    assert_eq!(environment["at_start"]["tcp_segments_out"], 0, "{environment:#}");
}

#[test]
fn the_heat_map_has_the_calls_at_their_time_and_latency() {
    let test = "heat_map";
    if !can_run(test, &["sh"]) {
        return;
    }
    // Reads of 20 ms in the first second or so, of 40 ms later on.
    let script = "\"$0\" pipe-reads 40 20; sleep 1; \"$0\" pipe-reads 40 40";
    let workload = workload();
    let command = ["--probe", "syscall", "--", "sh", "-c", script, workload.to_str().unwrap()];
    let recorded = Recording::start(&command).ended();
    let svg = recorded.file("syscall-heat.svg");
    // `1.00 s to 2.00 s: 12 of 20.4 ms to 24.1 ms` → start and lower edge in ms.
    let ms = |text: &str| -> f64 {
        let (value, unit) = text.split_once(' ').unwrap_or((text, "ns"));
        let factor = [("s", 1e3), ("ms", 1.0), ("µs", 1e-3), ("ns", 1e-6)];
        let factor = factor.iter().find(|(own, _)| unit == *own).unwrap_or_else(|| panic!("{text}"));
        value.replace(',', "").parse::<f64>().unwrap() * factor.1
    };
    let cell = |title: &str| -> Option<(f64, f64, u64)> {
        let (time, rest) = title.split_once(": ")?;
        let (count, latency) = rest.split_once(" of ")?;
        let (start, from) = (time.split_once(" to ")?.0, latency.split_once(" to ")?.0);
        Some((ms(start), ms(from), count.replace(',', "").parse().ok()?))
    };
    let (_, reads) = svg.split_once(">read: ").unwrap();
    let reads = reads.split("text-anchor=\"start\"").next().unwrap();
    let cells = reads.split("<title>").skip(1).filter_map(|rest| cell(rest.split("</title>").next()?));
    let cells: Vec<(f64, f64, u64)> = cells.collect();
    let rows = recorded.summary["probes"]["syscall"]["rows"].as_array().unwrap().iter();
    let truth: u64 = rows.filter(|row| row["syscall"] == "read").map(|row| number(row, "count")).sum();
    assert_eq!(cells.iter().map(|(.., count)| count).sum::<u64>(), truth, "{cells:?}");
    // The workload's own, and what a busy machine makes slow.
    let of = |low: f64, high: f64| -> Vec<(f64, f64, u64)> {
        cells.iter().filter(|(_, from, _)| (low..high).contains(from)).copied().collect()
    };
    assert!(of(16.0, f64::MAX).iter().map(|(.., count)| count).sum::<u64>() >= 80, "{cells:?}");
    let most = |of: Vec<(f64, f64, u64)>| of.into_iter().max_by_key(|(.., count)| *count).unwrap();
    assert!(most(of(16.0, 30.0)).0 < most(of(30.0, 80.0)).0, "{cells:?}");
}
