//! Limits of the machine that bind a recording: each is told with its name, its value and its mend, and nothing is
//! merged, left out or called unreadable without a word.
//!
//! In: root; limits that the tests lower and put back. Out: what the recording says, and what it does instead.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot set up fails")]

use std::fs;
use std::process::{Command, Stdio};

use crate::support::limits::{CpuOffline, Sysctl};
use crate::support::live::{Recorded, Recording, Workload, number};
use crate::support::session::{Stage, Told};
use crate::support::{Cgroup, Process, can_run, skipped, wait_for};
use serde_json::Value;

/// The sentences about limits in a recording.
fn limits(recorded: &Recorded) -> Vec<&str> {
    recorded.summary["limits"].as_array().unwrap().iter().map(|limit| limit.as_str().unwrap()).collect()
}

#[test]
fn stacks_that_the_kernel_cuts_are_counted_as_cut() {
    let test = "stacks_that_the_kernel_cuts_are_counted_as_cut";
    if !can_run(test, &[]) {
        return;
    }
    const FRAMES: u64 = 8;
    let Some(_lowered) = Sysctl::set("kernel/perf_event_max_stack", FRAMES) else {
        return skipped(test, "kernel.perf_event_max_stack cannot be changed: somebody takes stacks");
    };
    // Walks of 20 branches: whoever sees 8 frames sees no walk whole.
    let workload = Workload::start(&["many-stacks", "512", "20", "1000"]);
    let pid = workload.pid().to_string();
    // The kernel's own walks are what it cuts.
    let recording = Recording::start(&["--pid", &pid, "--probe", "cpu", "--unwind", "fp"]);
    assert_eq!(number(&workload.finish(), "stacks"), 512);
    let recorded = recording.stop();
    let told = limits(&recorded);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("kernel.perf_event_max_stack is 8"), "{told:?}");
    assert!(recorded.stderr.contains("kernel.perf_event_max_stack=127"), "{}", recorded.stderr);
    let rows = recorded.summary["probes"]["cpu"]["rows"].as_array().unwrap();
    let deep: Vec<&Value> =
        rows.iter().filter(|row| row["stack"].to_string().contains("workload::burn::branch_")).collect();
    assert!(!deep.is_empty(), "no sample in a walk: {rows:#?}");
    for row in deep {
        assert!(row["stack"].to_string().contains("[deeper frames cut]"), "{row:#}");
    }
    assert!(recorded.counted("user_stack_truncated") > 0);
}

#[test]
fn a_sample_rate_over_the_kernels_limit_is_lowered_and_said() {
    let test = "a_sample_rate_over_the_kernels_limit_is_lowered_and_said";
    if !can_run(test, &[]) {
        return;
    }
    let Some(_lowered) = Sysctl::set("kernel/perf_event_max_sample_rate", 50) else {
        return skipped(test, "kernel.perf_event_max_sample_rate cannot be changed");
    };
    let workload = Workload::start(&["burn-70-30", "1000"]);
    let pid = workload.pid();
    let recording = Recording::start(&["--pid", &pid.to_string(), "--probe", "cpu", "-F", "99"]);
    workload.finish();
    let recorded = recording.stop();
    assert_eq!(number(&recorded.summary, "frequency_hz"), 50);
    let told = limits(&recorded);
    assert!(told[0].contains("at 50 Hz, not at 99") && told[0].contains("max_sample_rate is 50"), "{told:?}");
    assert!(!recorded.rows("cpu", pid).is_empty(), "no samples");
    // The check tells it, and the trial is not taken for a refusal.
    let stage = Stage::new();
    let check = Told::new(&stage.profiler(&["check"]).output().unwrap());
    assert!(check.assert_done().stdout.contains("at most 50 Hz"), "{}", check.stdout);
    assert!(!check.stdout.contains("seccomp"), "{}", check.stdout);
}

/// `profiler record` on files, behind a shell that lowers a limit first.
fn limited(stage: &Stage, limit: &str, arguments: &[&str]) -> Told {
    let script = format!("ulimit {limit}; exec \"$0\" \"$@\"");
    let mut record = stage.profiler_as(&["sh", "-c", &script], arguments);
    Told::new(&record.output().unwrap())
}

#[test]
fn few_open_files_are_named_as_the_reason() {
    let test = "few_open_files_are_named_as_the_reason";
    let Some(library) = ["/lib/x86_64-linux-gnu/libdl.so.2", "/lib64/libdl.so.2"]
        .into_iter()
        .find(|path| fs::exists(path).unwrap())
    else {
        return skipped(test, "no small library to map many times");
    };
    if !can_run(test, &["sh"]) {
        return;
    }
    let stage = Stage::new();
    // Two hundred files in one process: more than half of the limit whatever the probes take of it.
    let copies: Vec<String> =
        (0..200).map(|copy| stage.at(&format!("copy{copy}.so")).display().to_string()).collect();
    for copy in &copies {
        fs::copy(library, copy).unwrap();
    }
    let mut command = Command::new("sh");
    command.args(["-c", "while :; do :; done"]).env("LD_PRELOAD", copies.join(":"));
    let burner = Process(command.stdin(Stdio::null()).spawn().unwrap());
    let pid = burner.pid().to_string();
    wait_for("the copies to be mapped", || {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        maps.contains("copy199.so").then_some(())
    });
    // The programs, links and maps of all probes take about 130.
    let told = limited(&stage, "-n 160", &["record", "-q", "-d", "1s", "-o", "out", "--pid", &pid]);
    let text = &told.assert_done().stdout;
    assert!(text.contains("files of processes were not pinned"), "{text}");
    assert!(text.contains("open files is 160"), "{text}");
    let folded = fs::read_to_string(stage.at("out/cpu.folded")).unwrap();
    assert!(!folded.is_empty() && !folded.contains("file unreadable"), "{folded}");
    // Too few even for the programs: the limit is named, not the kernel blamed.
    let told = limited(&stage, "-n 40", &["record", "-q", "-d", "1s", "-o", "none", "--pid", &pid]);
    assert!(told.code != Some(0) && told.stderr.contains("the limit of open files is 40"), "{}", told.stderr);
    assert!(!told.stderr.contains("kernel refused"), "{}", told.stderr);
    assert!(stage.files("none").is_empty());
    stage.assert_detached();
}

#[test]
fn a_memory_limit_is_named_as_the_reason() {
    let test = "a_memory_limit_is_named_as_the_reason";
    if !can_run(test, &["sh"]) {
        return;
    }
    let name = format!("profiler-test-{}", std::process::id());
    let (v1, v2) = (Cgroup::make("memory", &name), Cgroup::make("", &name));
    let limits = [(&v1, "memory.limit_in_bytes"), (&v2, "memory.max")];
    let limited = limits.into_iter().find_map(|(cgroup, file)| {
        let cgroup = cgroup.as_ref()?;
        fs::write(cgroup.dir.join(file), (32 << 20).to_string()).ok()?;
        Some((cgroup, file))
    });
    let Some((cgroup, file)) = limited else { return skipped(test, "no cgroup limits memory here") };
    let stage = Stage::new();
    let script = format!("echo $$ > {}/cgroup.procs; exec \"$0\" \"$@\"", cgroup.dir.display());
    let mut record = stage.profiler_as(&["sh", "-c", &script], &["record", "-d", "1s", "-o", "out"]);
    // Whether the kernel refuses the memory or ends the process is the kernel's choice: the limit is named before.
    let told = Told::new(&record.output().unwrap());
    assert_ne!(told.code, Some(0), "{}", told.stderr);
    assert!(told.stderr.contains(&format!("{file} is 32 MiB")), "{}", told.stderr);
    assert!(!told.stderr.contains("kernel refused"), "{}", told.stderr);
    stage.assert_detached();
}

/// CPU time of a process by the kernel's account, ns.
fn ran_ns(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn samples_follow_a_cpu_that_goes_and_comes_back() {
    let test = "samples_follow_a_cpu_that_goes_and_comes_back";
    if !can_run(test, &[]) {
        return;
    }
    // The kernel's limit of time for samples must not be what is seen.
    const FREQUENCY: u64 = 499;
    let cpus = std::thread::available_parallelism().unwrap().get();
    // One for each CPU: all of them are busy while it is there, and that one again when it is back.
    let mut burners: Vec<Workload> =
        (0..cpus).map(|_| Workload::start(&["--linger", "burn-70-30", "600000"])).collect();
    let targets: Vec<String> = burners.iter().map(|burner| burner.pid().to_string()).collect();
    let frequency = FREQUENCY.to_string();
    let mut arguments = vec!["--probe", "cpu", "-F", &frequency];
    arguments.extend(targets.iter().flat_map(|pid| ["--pid", pid.as_str()]));
    let recording = Recording::start(&arguments);
    burners.iter_mut().for_each(Workload::go);
    let total = || burners.iter().map(|burner| ran_ns(burner.pid())).sum::<u64>();
    let burn = |ns: u64| {
        let before = total();
        wait_for("the burners to have had their CPU time", || (total() - before >= ns).then_some(()));
    };
    burn(500_000_000);
    let Some(offline) = CpuOffline::highest() else {
        return skipped(test, "no CPU can be taken offline here");
    };
    burn(500_000_000);
    drop(offline);
    // Most of the time is after its return: an event that stays dead misses half of it on two CPUs.
    burn(3_000_000_000);
    // Away and back at once: nobody sees it in the list of CPUs that are online.
    drop(CpuOffline::highest());
    burn(2_000_000_000);
    let burned_ns = total();
    let recorded = recording.stop();
    let samples: u64 = burners
        .iter()
        .flat_map(|burner| recorded.rows("cpu", burner.pid()))
        .map(|row| number(row, "samples"))
        .sum();
    let (sampled_ns, unsampled_ns) =
        (samples * 1_000_000_000 / FREQUENCY, recorded.counted("cpu_unsampled_ns"));
    println!("{sampled_ns} ns sampled of {burned_ns} ns, {unsampled_ns} ns told as not sampled at most");
    assert!(unsampled_ns > 0, "a return is not told");
    let explained = sampled_ns + unsampled_ns;
    assert!(explained >= burned_ns / 100 * 95, "{sampled_ns} + {unsampled_ns} of {burned_ns}");
    assert!(unsampled_ns < burned_ns / 3, "{unsampled_ns} of {burned_ns} not sampled");
}
