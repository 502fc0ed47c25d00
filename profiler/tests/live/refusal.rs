//! A recording that must not be, or not as asked: wrong targets, wrong places, too few privileges, an output
//! that cannot take it.
//!
//! In: `profiler record` that is bound to fail. Out: its exit code, one line that names cause and mend; no
//! file, no directory and no program of ours stays.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::can_run;
use crate::support::live::{Workload, number};
use crate::support::session::{NOBODY, Stage, Told, acting};
use serde_json::Value;

#[test]
fn wrong_usage_names_the_mend_and_leaves_nothing() {
    if !can_run("wrong_usage_names_the_mend_and_leaves_nothing", &[]) {
        return;
    }
    let stage = Stage::new();
    // A thread that is not its process. Numbers of threads start again at the bottom, so it may be a lower one.
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let waits = std::thread::spawn(move || {
        tell.send(rustix::thread::gettid()).unwrap();
        let _ = ended.recv();
    });
    let thread = told.recv().unwrap().as_raw_nonzero().to_string();
    fs::write(stage.at("file"), "mine").unwrap();
    for (code, arguments, parts) in [
        (2, &["--pid", "4194304"][..], &["4194304"][..]),
        (2, &["--pid", &thread], &[thread.as_str(), "thread"]),
        (2, &["--container", "no-such"], &["no-such", "--cgroup"]),
        (2, &["--pod", "no-such"], &["no-such"]),
        (2, &["--unit", "no-such"], &["no-such.service"]),
        (2, &["--cgroup", "/no/such"], &["/no/such"]),
        (2, &["--backend", "lock=magic"], &["--backend", "lock=magic", "lock=contention"]),
        (2, &["--cpu", "0,8191"], &["--cpu", "8191", "online: 0"]),
        (2, &["--", "/no/such/command"], &["/no/such/command"]),
        (2, &["--", "/etc"], &["/etc"]),
        (1, &["-o", "file"], &["cannot create the output directory file"]),
        (1, &["-o", "file/below"], &["cannot create the output directory file/below"]),
        (1, &["-o", "/proc/no-such"], &["/proc/no-such"]),
    ] {
        let output = if arguments.contains(&"-o") { &[][..] } else { &["-o", "out"] };
        let told = stage.run(&[&["record", "-d", "1s"], output, arguments].concat());
        told.assert_refused(code, parts);
        assert_eq!(stage.files("."), ["file"], "{arguments:?}");
    }
    drop(end);
    waits.join().unwrap();
    assert_eq!(fs::read_to_string(stage.at("file")).unwrap(), "mine");
    stage.assert_detached();
}

#[test]
fn a_capture_is_never_overwritten() {
    if !can_run("a_capture_is_never_overwritten", &[]) {
        return;
    }
    let stage = Stage::new();
    let record = ["record", "-q", "-d", "1s", "-o", "out", "--probe", "cpu"];
    stage.run(&record).assert_done();
    let before = fs::read(stage.at("out/capture.profiler")).unwrap();
    stage
        .run(&record)
        .assert_refused(2, &["out", "capture.profiler", "earlier recording", "another directory"]);
    assert!(fs::read(stage.at("out/capture.profiler")).unwrap() == before);
    // A link in the place of the capture is no way to write elsewhere.
    fs::create_dir(stage.at("trap")).unwrap();
    std::os::unix::fs::symlink(stage.at("victim"), stage.at("trap/capture.partial")).unwrap();
    stage.run(&["record", "-d", "1s", "-o", "trap"]).assert_refused(2, &["capture.partial"]);
    assert!(!stage.at("victim").exists());
    stage.assert_detached();
}

#[test]
fn without_privileges_it_says_which_and_leaves_nothing() {
    if !can_run("without_privileges_it_says_which_and_leaves_nothing", &["setpriv"]) {
        return;
    }
    let stage = Stage::new();
    let no_bpf = &["setpriv", "--bounding-set=-bpf,-sys_admin"][..];
    let no_perfmon = &["setpriv", "--bounding-set=-perfmon,-sys_admin"][..];
    // Also where nothing may be written: what is missing first is told first.
    for (who, output) in [(NOBODY, "out"), (NOBODY, "/no/such/out"), (no_bpf, "out"), (no_perfmon, "out")] {
        let mut record = stage.profiler_as(who, &["record", "-d", "1s", "-o", output]);
        let told = Told::new(&record.output().unwrap());
        told.assert_refused(3, &["CAP_BPF", "CAP_PERFMON", "root", "profiler check"]);
        assert_eq!(stage.files("."), ["profiler"], "{who:?}");
    }
    stage.assert_detached();
}

#[test]
fn hidden_kernel_names_are_said() {
    if !can_run("hidden_kernel_names_are_said", &["setpriv"]) {
        return;
    }
    let stage = Stage::new();
    let mut workload = Workload::start(&["--linger", "pipe-reads", "20", "20"]);
    let capable = [NOBODY, &["--inh-caps=+bpf,+perfmon", "--ambient-caps=+bpf,+perfmon"]].concat();
    let pid = workload.pid().to_string();
    let mut record = stage.profiler_as(&capable, &["record", "-d", "2s", "-o", "out", "--pid", &pid]);
    let mut child = record.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    crate::support::wait_for("the header", || {
        assert!(child.try_wait().unwrap().is_none(), "the recording ended");
        (fs::metadata(stage.at("out/capture.partial")).ok()?.len() > 100).then_some(())
    });
    workload.go();
    workload.report();
    let told = Told::new(&child.wait_with_output().unwrap());
    let text = &told.assert_done().stdout;
    assert!(text.contains("Names of kernel functions"), "{text}");
    assert!(text.contains("kernel (taken, but names hidden)"), "{text}");
    assert!(!text.contains("(no kernel stack)"), "{text}");
    let folded = fs::read_to_string(stage.at("out/syscall.folded")).unwrap();
    assert!(folded.contains(" [names hidden]_[k]"), "{folded}");
    let summary = fs::read_to_string(stage.at("out/summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let losses = summary["losses"].as_array().unwrap();
    let unnamed = losses.iter().find(|loss| loss["class"] == "kernel_frame_unnamed").unwrap();
    assert!(number(unnamed, "count") > 0, "{unnamed}");
    stage.assert_detached();
}

#[test]
fn stdout_that_fails_costs_no_capture() {
    if !can_run("stdout_that_fails_costs_no_capture", &[]) {
        return;
    }
    let stage = Stage::new();
    let whole = ["capture.profiler", "cpu.folded", "cpu.svg", "latency.folded", "latency.svg"];
    let waits = ["lock.folded", "lock.svg", "offcpu.folded", "offcpu.svg", "runq.folded", "runq.svg"];
    let calls = ["report.html", "summary.json", "syscall-heat.svg", "syscall.folded", "syscall.svg"];
    let who = ["chains.folded", "chains.svg", "futex.folded", "futex.svg", "wakers.folded", "wakers.svg"];
    let others = [
        "block.folded",
        "block.svg",
        "crash.folded",
        "crash.svg",
        "peer.folded",
        "peer.svg",
        "peers.folded",
        "peers.svg",
    ];
    let mut whole = [&whole[..], &waits, &calls, &who, &others].concat();
    whole.sort_unstable();
    // A reader that goes away: what `| head -1` does.
    let mut record = stage.profiler(&["record", "-d", "1s", "-o", "head", "--json"]);
    let mut child = record.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first.trim(), "{", "the first line");
    let told = Told::new(&child.wait_with_output().unwrap());
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert_eq!(stage.files("head"), whole);
    // No reader from the start.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut record = stage.profiler(&["record", "-q", "-d", "1s", "-o", "closed"]);
    let told = Told::new(&record.stdout(writer).stderr(Stdio::piped()).output().unwrap());
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    assert_eq!(stage.files("closed"), whole);
    // A full disk behind a redirection: failure, but the capture is whole.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut record = stage.profiler(&["record", "-q", "-d", "1s", "-o", "full", "--json"]);
    let told = Told::new(&record.stdout(full).stderr(Stdio::piped()).output().unwrap());
    told.assert_refused(1, &["cannot write to stdout", "No space left"]);
    assert_eq!(stage.files("full"), whole);
    for directory in ["head", "closed", "full"] {
        let report = stage.run(&["report", directory]);
        assert_eq!(report.assert_done().stderr, "", "{directory}");
    }
    stage.assert_detached();
}

#[test]
fn check_and_targets_work_for_anybody() {
    if !can_run("check_and_targets_work_for_anybody", &["setpriv"]) {
        return;
    }
    let stage = Stage::new();
    for (who, able) in [(&["env"][..], true), (NOBODY, false)] {
        let tell = |arguments: &[&str]| {
            let told = Told::new(&stage.profiler_as(who, arguments).output().unwrap());
            assert_eq!(acting(&told.stdout), None, "{arguments:?}");
            assert!(told.stdout.lines().all(|line| line.chars().count() <= 100), "{}", told.stdout);
            told
        };
        let check = tell(&["check"]);
        // One probe that this kernel refuses to root, as it may lsm, is no failure of the check.
        let code = if able { 0 } else { 3 };
        assert_eq!(check.code, Some(code), "{who:?}: {}{}", check.stdout, check.stderr);
        assert_eq!(check.stderr.is_empty(), code == 0, "{}", check.stderr);
        let (_, verdicts) = check.stdout.split_once("\nverdict\n").unwrap();
        for probe in ["syscall", "lock", "cpu"] {
            let verdict = verdicts.lines().find(|line| line.contains(probe)).unwrap();
            assert_eq!(verdict.contains("can run"), able, "{verdict}");
        }
        assert!(able || check.stdout.contains("fix: run as root"), "{}", check.stdout);
        tell(&["targets"]).assert_done();
        for command in ["check", "targets"] {
            let told = Told::new(&stage.profiler_as(who, &[command, "--json"]).output().unwrap());
            let json: Result<Value, _> = serde_json::from_str(&told.stdout);
            assert!(json.is_ok(), "{command}: {json:?}\n{}", told.stdout);
        }
    }
    assert_eq!(stage.files("."), ["profiler"]);
    stage.assert_detached();
}

#[test]
fn a_forced_backend_that_cannot_run_falls_to_the_next_and_says_why() {
    if !can_run("a_forced_backend_that_cannot_run_falls_to_the_next_and_says_why", &[]) {
        return;
    }
    let stage = Stage::new();
    for backend in ["fentry", "kprobe"] {
        let forced = format!("lock={backend}");
        let told = stage.run(&[
            "record",
            "--json",
            "-d",
            "1s",
            "-o",
            backend,
            "--probe",
            "lock",
            "--backend",
            &forced,
        ]);
        let json: Value = serde_json::from_str(&told.assert_done().stdout).unwrap();
        let ran = json["backends"][0]["backend"].as_str().unwrap();
        assert_eq!(json["backends"][0]["active"], true, "{json}");
        if ran == backend {
            // This kernel has it: nothing to say.
            assert!(!told.stderr.contains("WARN"), "{}", told.stderr);
        } else {
            let lines: Vec<_> = told.stderr.lines().filter(|line| line.contains("WARN")).collect();
            assert_eq!(lines.len(), 2, "one for each part: {}", told.stderr);
            assert!(lines.iter().all(|line| line.contains(backend) && line.contains("lock.")), "{lines:?}");
        }
    }
    stage.assert_detached();
}
