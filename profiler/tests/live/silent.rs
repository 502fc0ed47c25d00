//! Files whose servers do not answer, and file systems that somebody wants to unmount: neither waits for the other.
//!
//! In: root, a FUSE file system whose server falls silent, a file system in memory. Out: recordings that end in time and say what
//! they could not read; an unmount that succeeds while a recording runs.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot set up fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::fuse::Fuse;
use crate::support::live::{Recorded, Recording, workload};
use crate::support::session::Stage;
use crate::support::{Process, can_run, skipped, wait_for};

/// What a silent server may add to a recording, wherever it is silent.
const MORE: Duration = Duration::from_secs(1);

/// A workload of that name in a directory, which burns CPU until it is killed.
fn burner(directory: &Path) -> Process {
    let program = directory.join("burner");
    let mut command = Command::new(program);
    command.args(["burn-70-30", "600000"]).stdin(Stdio::null()).stdout(Stdio::null());
    Process(command.spawn().unwrap())
}

fn ran_ns(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// Waits until a process has burned so much: what it needs of its file is in memory by then.
fn burned(process: &Process) {
    wait_for("the program to run", || (ran_ns(process.pid()) > 50_000_000).then_some(()));
}

/// Records a process for a second, or until Ctrl-C; how long that took, and what it says.
fn recorded(pid: u32, interrupt: bool) -> (Duration, Recorded) {
    let begin = Instant::now();
    let pid = pid.to_string();
    let mut arguments = vec!["--pid", &pid, "--probe", "cpu,syscall"];
    if !interrupt {
        arguments.extend(["-d", "1s"]);
    }
    let recording = Recording::start(&arguments);
    let recorded = if interrupt {
        std::thread::sleep(Duration::from_millis(300));
        recording.stop()
    } else {
        recording.ended()
    };
    (begin.elapsed(), recorded)
}

#[test]
fn a_program_whose_file_does_not_answer_costs_its_names_only() {
    let test = "a_program_whose_file_does_not_answer_costs_its_names_only";
    if !can_run(test, &[]) {
        return;
    }
    let bytes = fs::read(workload()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let Some(mut server) = Fuse::serve(vec![("burner", bytes)]).filter(|_| Path::new("/dev/fuse").exists())
    else {
        return skipped(test, "this kernel has no FUSE");
    };
    if !server.mount(directory.path()) {
        return skipped(test, "FUSE cannot be mounted here");
    }
    let burner = burner(directory.path());
    burned(&burner);
    let (usual, answered) = recorded(burner.pid(), false);
    assert!(answered.file("cpu.folded").contains("burn_seventy"), "{}", answered.file("cpu.folded"));
    let (usual_interrupt, _) = recorded(burner.pid(), true);
    server.be_silent();
    for (interrupt, usual) in [(false, usual), (true, usual_interrupt)] {
        let (took, silent) = recorded(burner.pid(), interrupt);
        println!("{took:?}, with a server that answers {usual:?}");
        assert!(took < usual + MORE, "{took:?}, with a server that answers {usual:?}");
        let folded = silent.file("cpu.folded");
        assert!(folded.contains("file system does not answer"), "{folded}");
        let limits = silent.summary["limits"].to_string();
        assert!(limits.contains("burner") && limits.contains("do not answer"), "{limits}");
        assert!(limits.contains("left behind"), "nobody hangs: the server was not asked? {limits}");
    }
}

#[test]
fn a_file_system_is_unmounted_while_a_recording_of_its_program_runs() {
    let test = "a_file_system_is_unmounted_while_a_recording_of_its_program_runs";
    if !can_run(test, &["mount", "umount"]) {
        return;
    }
    let stage = Stage::new();
    let at = stage.at("volume");
    fs::create_dir(&at).unwrap();
    let path = at.to_str().unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none", path]).status().unwrap();
    if !mounted.success() {
        return skipped(test, "tmpfs cannot be mounted here");
    }
    fs::copy(workload(), at.join("burner")).unwrap();
    fs::set_permissions(at.join("burner"), fs::Permissions::from_mode(0o755)).unwrap();
    let burner = burner(&at);
    let pid = burner.pid();
    // A second target keeps the recording alive when the first has ended.
    let recording =
        Recording::start(&["--pid", &format!("{pid},{}", std::process::id()), "--probe", "cpu,syscall"]);
    burned(&burner);
    let held = || {
        let held = fs::read_dir(format!("/proc/{}/fd", recording.pid())).unwrap().flatten();
        held.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|link| link.starts_with(&at))
    };
    wait_for("the profiler to hold the program", || held().then_some(()));
    drop(burner);
    let begin = Instant::now();
    wait_for("umount", || {
        Command::new("umount").arg(path).stderr(Stdio::null()).status().unwrap().success().then_some(())
    });
    println!("umount succeeded {:?} after the program's end", begin.elapsed());
    let recorded = recording.stop();
    let folded = recorded.file("cpu.folded");
    assert!(folded.contains("burn_seventy"), "its names were taken before: {folded}");
}

#[test]
fn what_reads_foreign_files_is_not_measured() {
    let test = "what_reads_foreign_files_is_not_measured";
    if !can_run(test, &[]) {
        return;
    }
    let recording = Recording::start(&["--probe", "syscall,cpu,offcpu,runq", "--slow", "0"]);
    let pid = recording.pid();
    let children = || {
        let told = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        told.split_whitespace().filter_map(|child| child.parse::<u32>().ok()).next()
    };
    let child = wait_for("the profiler to have a child that looks", children);
    let worked = ran_ns(child);
    wait_for("it to work", || {
        // Each new program has stacks, whose mappings are looked at.
        assert!(Command::new("true").status().unwrap().success());
        (ran_ns(child) > worked + 1_000_000).then_some(())
    });
    let recorded = recording.stop();
    assert!(!recorded.summary["probes"]["syscall"]["rows"].as_array().unwrap().is_empty());
    for probe in ["syscall", "cpu", "offcpu", "runq"] {
        let rows = recorded.rows(probe, child);
        assert!(rows.is_empty(), "{rows:#?}");
    }
}
