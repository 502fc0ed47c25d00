//! The `cpu` probe against workloads that know where they burned their CPU time, and against the kernel's
//! own account of it.
//!
//! In: root. Out: shares, totals, names of user and kernel code, and 10⁵ stacks of which none is lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::support::host::{measured, yardstick_s};
use crate::support::live::{Recorded, Recording, Workload, number, workload};
use crate::support::{Process, Runc, can_run, wait_for};
use judge::bounds::Off;
use profiler::profile::ledger::Population;
use profiler::profile::{Class, Profile, Resolution, StackId};

const SEVENTY: &str = "workload::burn::burn_seventy";
const THIRTY: &str = "workload::burn::burn_thirty";

/// Ticks of `/proc/PID/stat` per second, as every x86-64 kernel tells user space.
const TICKS: f64 = 100.0;

/// utime + stime that the kernel accounts to a process, seconds.
fn cpu_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / TICKS).sum()
}

/// The same with that of its children that have ended: stacks are unwound in them.
fn cpu_with_children_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11..15].iter().map(|ticks| ticks.parse::<f64>().unwrap() / TICKS).sum()
}

/// Time that a process's main thread has waited for a CPU, seconds.
fn delay_s(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat")).unwrap();
    text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() / 1e9
}

/// The lines of `cpu.folded`: (frames from the root on, samples).
fn folded(recorded: &Recorded) -> Vec<(Vec<String>, u64)> {
    let line = |line: &str| {
        let (path, samples) = line.rsplit_once(' ').unwrap();
        (path.split(';').map(str::to_owned).collect(), samples.parse().unwrap())
    };
    recorded.file("cpu.folded").lines().map(line).collect()
}

/// Samples of all stacks with a frame of that name.
fn samples_through(recorded: &Recorded, function: &str) -> u64 {
    let folded = folded(recorded);
    let through = folded.iter().filter(|(frames, _)| frames.iter().any(|frame| frame == function));
    through.map(|(_, samples)| samples).sum()
}

fn rows(recorded: &Recorded) -> &[serde_json::Value] {
    recorded.summary["probes"]["cpu"]["rows"].as_array().unwrap()
}

fn all_samples(recorded: &Recorded) -> u64 {
    rows(recorded).iter().map(|row| number(row, "samples")).sum()
}

/// Samples stand for CPU time: at 999 Hz they come to what the kernel accounted, within 3 %. A timer that goes off once in
/// each of many short times that the host takes makes samples of them.
fn total(samples: u64, accounted_s: f64) -> Result<(), Off> {
    let sampled_s = samples as f64 / 999.0;
    let off = (sampled_s / accounted_s - 1.0) * 100.0;
    println!("{samples} samples = {sampled_s:.3} s, the kernel accounts {accounted_s:.3} s: {off:+.2} %");
    let beyond_s = (sampled_s - accounted_s).abs() - accounted_s * 0.03;
    if beyond_s <= 0.0 {
        return Ok(());
    }
    let what = format!("{sampled_s:.3} s sampled, {accounted_s:.3} s accounted");
    Err(Off { what, by_ns: (beyond_s * 1e9) as u64 })
}

#[test]
fn two_functions_get_their_shares_and_all_of_the_time() {
    let test = "two_functions_get_their_shares_and_all_of_the_time";
    if can_run(test, &[]) {
        measured(test, shares_and_total);
    }
}

fn shares_and_total() -> Result<(), Off> {
    let mut workload = Workload::start(&["--linger", "burn-70-30", "5000"]);
    let recording = Recording::start(&["--pid", &workload.pid().to_string(), "--probe", "cpu", "-F", "999"]);
    let (start, before_s, delay_s) = (Instant::now(), cpu_s(workload.pid()), delay_s(workload.pid()));
    workload.go();
    let truth = workload.report();
    let accounted_s = cpu_s(workload.pid()) - before_s;
    // It never sleeps: by the wall clock it has a CPU whenever it does not wait for one.
    let most_s = start.elapsed().as_secs_f64() - (self::delay_s(workload.pid()) - delay_s);
    let recorded = recording.stop();

    let samples = all_samples(&recorded);
    assert!(samples as f64 <= most_s * 999.0 * 1.03, "{samples} samples of {most_s:.3} s with a CPU");
    let (seventy, thirty) = (samples_through(&recorded, SEVENTY), samples_through(&recorded, THIRTY));
    assert!(seventy + thirty >= samples * 98 / 100, "{seventy} + {thirty} of {samples} samples have a name");
    let share = |part: u64, rest: u64| part as f64 * 100.0 / (part + rest) as f64;
    let truth = share(number(&truth, "seventy_ns"), number(&truth, "thirty_ns"));
    let found = share(seventy, thirty);
    println!("{found:.2} % of the samples, {truth:.2} % of the time");
    assert!((found - truth).abs() <= 3.0, "{found:.2} % instead of {truth:.2} %");
    let pid = u64::from(workload.pid());
    assert!(rows(&recorded).iter().all(|row| number(row, "pid") == pid), "a row of somebody else");
    total(samples, accounted_s)
}

#[test]
fn code_inside_a_container_has_names_after_it_is_gone() {
    const NAME: &str = "prof-live-cpu";
    if !can_run("a container's symbols", &["runc", "busybox"]) {
        return;
    }
    let wait = "until [ -x /dev/burn ]; do sleep 0.05; done; exec /dev/burn burn-70-30 2000";
    let Some(container) = Runc::run("a container's symbols", NAME, &["sh", "-c", wait]) else { return };
    let recording = Recording::start(&["--container", NAME, "--probe", "cpu", "-F", "999"]);
    // The only place in it that can be written.
    let inside = Path::new("/proc").join(container.pid.to_string()).join("root/dev");
    fs::copy(workload(), inside.join("new")).unwrap();
    fs::rename(inside.join("new"), inside.join("burn")).unwrap();
    wait_for("the container's end", || (!inside.exists()).then_some(()));
    drop(container);
    let recorded = recording.stop();

    let (named, samples) =
        (samples_through(&recorded, SEVENTY) + samples_through(&recorded, THIRTY), all_samples(&recorded));
    assert!(named >= 1000, "{named} of {samples} samples have a name");
    let burning = rows(&recorded).iter().find(|row| row["function"] == SEVENTY).unwrap();
    assert_eq!((burning["container"].as_str(), burning["comm"].as_str()), (Some(NAME), Some("burn")));
}

#[test]
fn time_in_the_kernel_has_kernel_frames() {
    if !can_run("dd", &["dd"]) {
        return;
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "read go; exec dd if=/dev/zero of=/dev/null bs=1M status=none"]);
    let mut dd = Process(shell.stdin(Stdio::piped()).spawn().unwrap());
    let recording = Recording::start(&["--pid", &dd.pid().to_string(), "--probe", "cpu", "-F", "999"]);
    dd.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    wait_for("a second of copying", || (cpu_s(dd.pid()) > 1.0).then_some(()));
    drop(dd);
    let recorded = recording.stop();

    let folded = folded(&recorded);
    let sum = |wanted: &dyn Fn(&[String]) -> bool| -> u64 {
        folded.iter().filter(|(frames, _)| wanted(frames)).map(|(_, samples)| samples).sum()
    };
    let all = sum(&|_| true);
    let kernel = sum(&|frames| frames.last().is_some_and(|frame| frame.ends_with("_[k]")));
    let zeros = sum(&|frames| {
        frames.iter().any(|frame| frame.starts_with("read_iter_zero") || frame.starts_with("read_zero"))
    });
    println!("{all} samples, {kernel} in the kernel, {zeros} reading zeros");
    assert!(all >= 300, "only {all} samples");
    assert!(kernel * 10 >= all * 8, "{kernel} of {all} samples in the kernel");
    assert!(zeros * 10 >= all * 7, "{zeros} of {all} samples in the device's read");
    assert!(folded.iter().all(|(frames, _)| frames[0].starts_with("dd (") || frames[0].starts_with("sh (")));
}

/// Digits of the path, the first branch first, of a user stack of `many-stacks`.
fn digits(profile: &Profile, stack: StackId) -> Vec<u64> {
    let frames = profile.stacks.frames(stack).expect("a stack whose frames did not arrive");
    let digit = |frame: &profiler::profile::FrameId| match profile.stacks.resolution(*frame) {
        Resolution::Named(names) => {
            names.last().and_then(|name| name.strip_prefix("workload::burn::branch_")?.parse().ok())
        }
        Resolution::Unnamed(_) => None,
    };
    frames.iter().rev().filter_map(digit).collect()
}

/// The walks that were sampled: index → samples. A sample in a function's first instructions misses its
/// caller's frame; those are counted apart.
fn walks(profile: &Profile, depth: usize) -> (HashMap<u64, u64>, u64) {
    let (mut walks, mut cut) = (HashMap::new(), 0);
    for (key, row) in &profile.cpu.rows {
        let digits = digits(profile, key.user);
        if digits.len() == depth {
            let index = digits.iter().rev().fold(0, |index, digit| index * 8 + digit);
            *walks.entry(index).or_insert(0) += row.samples;
        } else {
            cut += row.samples;
        }
    }
    (walks, cut)
}

/// Every sample is in a row, every row's stacks arrived, and nothing is in the ledger but what is no loss.
fn assert_nothing_lost(recorded: &Recorded, profile: &Profile) {
    let samples: u64 = profile.cpu.rows.values().map(|row| row.samples).sum();
    assert_eq!(samples, profile.ledger.population(Population::Samples));
    assert_eq!(samples, all_samples(recorded));
    assert_eq!(samples, folded(recorded).iter().map(|(_, samples)| samples).sum::<u64>());
    for class in [
        Class::CpuRowFull,
        Class::StackRingFull,
        Class::StackDropped,
        Class::UserStackMissing,
        Class::UserStackTruncated,
        Class::KernelStackMissing,
        Class::KernelStackTruncated,
        Class::EventRingFull,
        Class::Implausible,
    ] {
        assert_eq!(profile.ledger.get(class), 0, "{}", class.text());
    }
    for key in profile.cpu.rows.keys() {
        for stack in [key.user, key.kernel] {
            assert!(stack == StackId::NONE || profile.stacks.frames(stack).is_some(), "{key:?}");
        }
    }
}

/// CPU time of all children that were waited for, and of theirs, seconds.
fn children_s() -> f64 {
    // SAFETY: plain integers, for which zero is a value; the record outlives the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

#[test]
fn slow_a_hundred_thousand_stacks_are_all_kept_and_none_merged() {
    const WALKS: u64 = 120_000;
    const DEPTH: u64 = 16;
    const FREQUENCY: u32 = 9999;
    /// What may be spent from stop to the end, in runs of the yardstick: on names, tables and pictures …
    const STOP: f64 = 6.0;
    /// … and on `report.html`, which reads the capture again and cuts each stack by time.
    const PAGE: f64 = 3.0;
    if !can_run("many stacks", &[]) {
        return;
    }
    // Each walk burns a little more than a sampling period: hardly one goes unseen.
    let mut workload =
        Workload::start(&["--linger", "many-stacks", &WALKS.to_string(), &DEPTH.to_string(), "130"]);
    let (pid, frequency) = (workload.pid().to_string(), FREQUENCY.to_string());
    let recording = Recording::start(&["--pid", &pid, "--probe", "cpu", "-F", &frequency]);
    let before_s = cpu_s(workload.pid());
    workload.go();
    assert_eq!(number(&workload.report(), "stacks"), WALKS);
    let accounted_s = cpu_s(workload.pid()) - before_s;
    let (recording_s, children_s) = (cpu_with_children_s(recording.pid()), children_s());
    let stop = Instant::now();
    let recorded = recording.stop();
    let (stopping, stopping_s) = (stop.elapsed(), self::children_s() - children_s - recording_s);

    let profile = profiler::capture::read(&recorded.output()).unwrap();
    assert_nothing_lost(&recorded, &profile);
    // None is missing; interrupts count as their process's samples, but not as its accounted time.
    let expected = accounted_s * f64::from(FREQUENCY);
    assert!(all_samples(&recorded) as f64 >= expected * 0.97, "{} of {expected:.0}", all_samples(&recorded));
    let (walks, cut) = walks(&profile, DEPTH as usize);
    let samples = all_samples(&recorded);
    println!(
        "{samples} samples, {} stacks, {} of {WALKS} walks, {cut} samples cut in a prologue",
        profile.stacks.len(),
        walks.len()
    );
    assert!(walks.keys().all(|index| *index < WALKS), "a walk that was never made");
    assert!(walks.len() >= 100_000, "{} of {WALKS} walks were seen", walks.len());
    assert!(cut * 100 <= samples, "{cut} of {samples} samples are not of a whole walk");

    let cost = &recorded.summary["cost"];
    let (rss, maps) = (number(cost, "peak_rss_bytes"), number(cost, "map_bytes"));
    println!(
        "stop to exit {:.2} s, of it {:.2} s of CPU; {recording_s:.2} s of CPU while recording; RSS {} MB + maps {} MB",
        stopping.as_secs_f64(),
        stopping_s,
        rss / 1_000_000,
        maps / 1_000_000
    );
    assert!(rss + maps <= 200_000_000, "{rss} + {maps} bytes");
    // CPU time, not wall time: that is what a busy neighbour does not change. And in terms of what this CPU takes to name,
    // fold and sort as many stacks in the plainest way.
    let plain_s = yardstick_s(WALKS, DEPTH);
    println!("{plain_s:.3} s of CPU for the same in the plainest way");
    assert!(
        stopping_s <= plain_s * (STOP + PAGE),
        "{stopping_s:.2} s of CPU from stop to the end, {plain_s:.3} s plainly"
    );
}
