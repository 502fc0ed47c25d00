//! Who is measured, by processes: pids and their children, command names, a launched command, CPUs.
//!
//! In: shells of this host that run the workload, and a neighbour running the same program. Out: counts
//! that are the workload's own, to the call.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up fails")]

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};

use crate::support::live::Recording;
use crate::support::scope::{NOISY, Stage, Summary};
use crate::support::{skipped, wait_for};

#[test]
fn pids_and_their_children() {
    let Some(stage) = Stage::set("pids_and_their_children") else { return };
    let neighbour = stage.neighbour();
    let program = stage.program("workload");
    let mut shells = ["a", "b", "c"].map(|name| {
        let mut shell = stage.shell(name);
        let process = shell.start();
        (shell, process)
    });
    let pids = [shells[0].1.pid().to_string(), shells[1].1.pid().to_string()];
    for (wanted, members) in [(&pids[..1], 1), (&pids[..], 2)] {
        let recording = Recording::start(&["--pid", &wanted.join(",")]);
        for (shell, _) in &mut shells {
            shell.begin(&format!("{program} spawn 10; {program} dup-close 2 100; {program} burn-70-30 200"));
        }
        let printed = shells.each_mut().map(|(shell, _)| shell.end());
        neighbour.make_noise();
        let summary = Summary::of(&recording.stop());
        summary.assert_clean();
        summary.assert_calls("workload", "getppid", members * 50);
        summary.assert_calls("workload", "nanosleep", members * 11);
        summary.assert_calls("workload", "execve", members * 3);
        let seen = summary.pids();
        assert_eq!(seen.len() as u64, members * (1 + 3 + 10), "{seen:?}");
        for ((_, process), printed) in shells.iter().zip(&printed).take(members as usize) {
            assert!(seen.contains(&u64::from(process.pid())), "the parent is missing");
            assert!(told_pids(printed).is_subset(&seen), "{printed} in {seen:?}");
        }
        assert!(told_pids(&printed[2]).is_disjoint(&seen));
        assert!(summary.rows("cpu").iter().any(|row| row["comm"] == "workload"));
        let way = format!("pid set ({members} and their children)");
        summary.assert_way(&format!("pid {}", pids[0]), &way);
    }
}

fn told_pids(printed: &str) -> BTreeSet<u64> {
    let of = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["pid"].as_u64().unwrap()
    };
    printed.lines().map(of).collect()
}

/// Children that were there before, grandchildren that come later.
#[test]
fn descendants_of_a_pid() {
    let Some(stage) = Stage::set("descendants_of_a_pid") else { return };
    let _neighbour = stage.neighbour();
    let mut inner = stage.shell("inner");
    let mut outer = stage.shell("outer");
    let process = outer.start();
    outer.begin(&format!("sh -c '{}' & :", inner.script));
    outer.end();
    inner.is_up();
    let recording = Recording::start(&["--pid", &process.pid().to_string(), "--probe", "syscall"]);
    let program = stage.program("workload");
    inner.run(&format!("sh -c '{program} spawn 7; :'"));
    outer.run(&format!("{program} spawn 3"));
    let summary = Summary::of(&recording.stop());
    summary.assert_clean();
    summary.assert_calls("workload", "getppid", 50);
    inner.begin("exit");
}

/// A pid that a stranger gets while recording is not the target any more.
#[test]
fn a_recycled_pid_is_a_stranger() {
    let Some(stage) = Stage::set("a_recycled_pid_is_a_stranger") else { return };
    let last = "/proc/sys/kernel/ns_last_pid";
    if fs::OpenOptions::new().write(true).open(last).is_err() {
        return skipped("a_recycled_pid_is_a_stranger", "the kernel lacks ns_last_pid");
    }
    let program = stage.program("workload");
    for others in [0, 1] {
        let mut target = stage.shell(&format!("target{others}"));
        let process = target.start();
        let mut second = stage.shell(&format!("second{others}"));
        let beside = second.start();
        let mut wanted = process.pid().to_string();
        if others > 0 {
            wanted += &format!(",{}", beside.pid());
        }
        let recording = Recording::start(&["--pid", &wanted, "--probe", "syscall"]);
        target.run(&format!("{program} getppid-loop 5"));
        let pid = process.pid();
        drop(process);
        wait_for("the kernel to give the pid again", || {
            fs::write(last, (pid - 1).to_string()).unwrap();
            let mut command = Command::new(stage.program(NOISY));
            let child = command.args(["getppid-loop", "1000"]).stdout(Stdio::null()).spawn().unwrap();
            let again = child.id() == pid;
            assert!(child.wait_with_output().unwrap().status.success());
            again.then_some(())
        });
        let summary = Summary::of(&recording.stop());
        summary.assert_calls("workload", "getppid", 5);
        summary.assert_clean();
    }
}

#[test]
fn command_names() {
    let Some(stage) = Stage::set("command_names") else { return };
    let neighbour = stage.neighbour();
    let (one, two, three) =
        (stage.program("name-one"), stage.program("name-two"), stage.program("name-three"));
    let mut shell = stage.shell("names");
    let process = shell.start();
    let each = [&one, &two, &three]
        .map(|name| format!("{name} spawn 4; {name} dup-close 2 100; {name} burn-70-30 200"))
        .join("; ");
    for (wanted, members) in
        [(vec!["--comm", "name-one"], 1), (vec!["--comm", "name-one", "--comm", "name-two"], 2)]
    {
        let recording = Recording::start(&wanted);
        shell.run(&each);
        neighbour.make_noise();
        let summary = Summary::of(&recording.stop());
        summary.assert_clean();
        summary.assert_calls("name-one", "getppid", 20);
        summary.assert_calls("name-two", "getppid", 20 * (members - 1));
        let strange = summary.comms().into_iter().find(|comm| {
            *comm != "name-one" && *comm != "interrupt" && !(members == 2 && *comm == "name-two")
        });
        assert_eq!(strange, None);
        assert_eq!(summary.pids().len() as u64, members * 7);
        summary.assert_way("comm name-one", "command name");
    }
    // Pid AND name.
    let mut other = stage.shell("others");
    let _other = other.start();
    let recording = Recording::start(&["--pid", &process.pid().to_string(), "--comm", "name-one"]);
    other.begin(&each);
    shell.run(&each);
    other.end();
    let summary = Summary::of(&recording.stop());
    summary.assert_clean();
    assert_eq!((summary.count("name-one", "getppid"), summary.count("name-two", "getppid")), (20, 0));
    assert_eq!(summary.pids().len(), 7);
}

#[test]
fn a_command_from_its_first_call_to_its_end() {
    let Some(stage) = Stage::set("a_command_from_its_first_call_to_its_end") else { return };
    let neighbour = stage.neighbour();
    let program = stage.program("workload");
    let script =
        format!("{program} spawn 10; {program} getppid-loop 1000 2; {program} burn-70-30 200; exit 7");
    let summary = Summary::of(&Recording::start(&["--", "sh", "-c", &script]).ended());
    drop(neighbour);
    summary.assert_clean();
    let first = summary.calls("sh", "execve")[0];
    let failed = first["errors"]["ENOENT"].as_u64().unwrap_or(0);
    assert_eq!(first["count"].as_u64().unwrap() - failed, 1, "the command's own first call: {first}");
    summary.assert_calls("workload", "execve", 3);
    summary.assert_calls("workload", "getppid", 2050);
    assert_eq!(summary.pids().len(), 1 + 3 + 10);
    summary.assert_way("command sh -c", "the command's process and its children");
    // Every call of the command and its children, the first to the last, beside strace's count.
    let traced = strace(&[program.as_str(), "spawn", "300"]);
    let summary = Summary::of(&Recording::start(&["--", &program, "spawn", "300"]).ended());
    let Some(traced) = traced else { return skipped("calls beside strace's", "needs strace") };
    for (call, count) in traced {
        summary.assert_calls("workload", &call, count);
    }
}

/// Calls of a command by name, without those that do not return.
fn strace(command: &[&str]) -> Option<Vec<(String, u64)>> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("strace")
        .args(["-f", "-o"])
        .arg(log.path())
        .args(command)
        .stdout(Stdio::null())
        .status();
    status.ok()?;
    let mut calls = std::collections::BTreeMap::new();
    for line in fs::read_to_string(log.path()).unwrap().lines() {
        let Some(call) = line.split_whitespace().nth(1).and_then(|word| word.split('(').next()) else {
            continue;
        };
        let begins = line.contains('(') && !line.contains("<... ");
        if begins
            && call.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            *calls.entry(call.to_owned()).or_insert(0) += 1;
        }
    }
    // Threads: how often they wait for each other is luck, and so are wakes.
    for luck in ["exit_group", "exit", "futex", "munmap", "mmap", "mprotect", "madvise", "brk"] {
        calls.remove(luck);
    }
    Some(calls.into_iter().collect())
}

#[test]
fn one_cpu() {
    let Some(stage) = Stage::set("one_cpu") else { return };
    if !crate::support::can_run("one_cpu", &["taskset"]) || !crate::support::has_two_cpus("one_cpu") {
        return;
    }
    let [zero_cpu, one_cpu] = [crate::support::cpus()[0], crate::support::cpus()[1]];
    let pinned = |cpu: usize, name: &str| -> Child {
        let mut command = Command::new("taskset");
        command.args(["-c", &cpu.to_string(), &stage.program(name), "hang-read"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let hanging = [
        crate::support::Process(pinned(zero_cpu, "hang0")),
        crate::support::Process(pinned(one_cpu, "hang1")),
    ];
    for process in &hanging {
        let call = format!("/proc/{}/syscall", process.pid());
        wait_for("a read that hangs", || fs::read_to_string(&call).ok()?.starts_with("0 ").then_some(()));
    }
    let (zero, one) = (stage.program("on-zero"), stage.program("on-one"));
    let mut shell = stage.shell("cpus");
    let process = shell.start();
    let recording = Recording::start(&["--cpu", &zero_cpu.to_string()]);
    let each = |cpu: usize, name: &str| {
        format!("taskset -c {cpu} {name} spawn 10; taskset -c {cpu} {name} burn-70-30 200")
    };
    shell.run(&format!("{}; {}", each(zero_cpu, &zero), each(one_cpu, &one)));
    // One that moves from CPU to CPU between and inside its calls is in some call all the time.
    let moving = stage.program("moving");
    shell.run(&format!(
        "{moving} nanosleep 40 5 & m=$!; i=0; while kill -0 $m 2>/dev/null; do taskset -pc $((i % 2 ? {one_cpu} : {zero_cpu})) $m >/dev/null 2>&1; i=$((i+1)); done; wait"
    ));
    drop(process);
    let summary = Summary::of(&recording.stop());
    summary.assert_calls("on-zero", "getppid", 50);
    summary.assert_calls("on-zero", "nanosleep", 10);
    summary.assert_calls("on-one", "getppid", 0);
    summary.assert_calls("on-one", "nanosleep", 0);
    let moved = summary.count("moving", "nanosleep");
    assert!((1..40).contains(&moved), "{moved} of 40 sleeps ended on CPU 0");
    assert!(summary.rows("cpu").iter().any(|row| row["comm"] == "on-zero"));
    assert!(!summary.rows("cpu").iter().any(|row| row["comm"] == "on-one"));
    let in_flight: Vec<_> =
        summary.json["in_flight"].as_array().unwrap().iter().map(|call| &call["comm"]).collect();
    assert!(in_flight.iter().any(|comm| **comm == "hang0"), "{in_flight:?}");
    for gone in ["hang1", "moving", "on-one", "on-zero"] {
        assert!(
            !in_flight.iter().any(|comm| **comm == gone),
            "{gone} is not in flight on CPU 0: {in_flight:?}"
        );
    }
}
