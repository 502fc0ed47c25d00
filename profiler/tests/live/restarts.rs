//! Targets that restart, and processes that die, while recording.
//!
//! In: Docker containers and bare cgroups that are made anew, programs that crash. Out: counts that are the workload's
//! own over all instances, gaps, deaths to the number.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::live::{Recording, profiler};
use crate::support::scope::{Stage, Summary};
use crate::support::{Cgroup, Docker, Process, output, wait_for};
use serde_json::Value;

/// Calls that one instance makes.
const CALLS: u64 = 2_000;

fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// Lines that instances wrote so far.
fn lines(file: &Path) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

/// A container that runs `script` with the stage mounted at the same place.
fn run(docker: &Docker, stage: &Stage, name: &str, (options, script): (&[&str], &str)) {
    let volume = format!("{0}:{0}", stage.dir().display());
    docker.run(name, &[&["--volume", &volume], options].concat(), &["sh", "-c", script]);
}

fn deaths<'s>(summary: &'s Summary, comm: &str) -> Vec<&'s Value> {
    let all = summary.json["deaths"].as_array().unwrap().iter();
    all.filter(|death| death["comm"] == comm).collect()
}

/// Gaps with both ends, and those without a second.
fn gaps(summary: &Summary) -> (usize, usize) {
    let all = summary.json["absences"].as_array().unwrap();
    let open = all.iter().filter(|absence| absence["to_ns"].is_null()).count();
    for absence in all.iter().filter(|absence| !absence["to_ns"].is_null()) {
        assert!(absence["from_ns"].as_u64() <= absence["to_ns"].as_u64(), "{absence}");
    }
    (all.len() - open, open)
}

/// Of every instance all calls, and nothing of the runtime's.
fn assert_instances(summary: &Summary, instances: u64) {
    summary.assert_calls("workload", "getppid", instances * CALLS);
    let comms = summary.comms();
    let runtime: Vec<&&str> = comms.iter().filter(|comm| comm.starts_with("runc")).collect();
    assert!(runtime.is_empty(), "the runtime's own calls: {runtime:?}");
    for class in ["cgroup_untold", "instance_unfollowed", "instance_late", "death_untold"] {
        let losses = summary.json["losses"].as_array().unwrap().iter();
        let lost: Vec<&Value> = losses.filter(|loss| loss["class"] == class && loss["count"] != 0).collect();
        assert!(lost.is_empty(), "{lost:?}");
    }
}

#[test]
fn a_crash_loop_in_docker_is_measured_and_its_deaths_are_counted() {
    let test = "a_crash_loop_in_docker_is_measured_and_its_deaths_are_counted";
    let Some(stage) = Stage::set(test) else { return };
    let Some(docker) = Docker::start(test) else { return };
    let (name, count) = (unique("px"), stage.dir().join("px.count"));
    let (program, go) = (stage.program("workload"), stage.dir().join("px.go"));
    // The first instance is there when recording starts; it and three restarts crash.
    let script = format!(
        "while [ ! -e {go} ]; do sleep 0.05; done; {program} getppid-loop 1000 2; \
         sh -c 'kill -SEGV $$'; echo >> {count}; exit 3",
        go = go.display(),
        count = count.display()
    );
    run(&docker, &stage, &name, (&["--restart", "on-failure:3"], &script));
    let recording = Recording::start(&["--container", &name, "--probe", "syscall"]);
    fs::write(&go, "").unwrap();
    wait_for("four instances", || {
        let state =
            output(docker.command().args(["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", &name]));
        (state == "exited 3").then_some(())
    });
    assert_eq!(lines(&count), 4);
    let recorded = recording.stop();
    let summary = Summary::of(&recorded);
    assert_instances(&summary, 4);
    summary.assert_container(&name);
    let of = |signal: &str| {
        let all = deaths(&summary, "sh");
        all.iter().filter(|death| death["signal"] == signal && death["container"] == name.as_str()).count()
    };
    assert_eq!(of("SIGSEGV"), 4, "{:?}", summary.json["deaths"]);
    let codes = deaths(&summary, "sh").iter().filter(|death| death["exit_code"] == 3).count();
    assert_eq!(codes, 4, "{:?}", summary.json["deaths"]);
    assert_eq!(gaps(&summary), (3, 1), "{}", summary.json["absences"]);
    assert!(summary.text.contains("4 deaths by SIGSEGV"), "{}", summary.text);
    let leads = summary.json["findings"].as_array().unwrap().iter().take(3);
    let told =
        leads.filter(|line| line.as_str().unwrap().contains(&format!("{name}/sh: 4 deaths by SIGSEGV")));
    assert_eq!(told.count(), 1, "in the first three sentences: {}", summary.json["findings"]);
    assert!(summary.text.contains(&format!("ABSENT   {name}: gone from ")), "{}", summary.text);
    let marks = recorded.file("syscall-heat.svg").matches("died by SIGSEGV").count();
    assert!(marks > 0 && marks.is_multiple_of(4), "{marks} marks in the heat maps");
}

#[test]
fn a_process_that_eats_the_memory_of_its_container_died_for_want_of_it() {
    let test = "a_process_that_eats_the_memory_of_its_container_died_for_want_of_it";
    let Some(stage) = Stage::set(test) else { return };
    let Some(docker) = Docker::start(test) else { return };
    let (name, done) = (unique("eater"), stage.dir().join("eater.done"));
    let go = stage.dir().join("eater.go");
    let script = format!(
        "while [ ! -e {go} ]; do sleep 0.05; done; tail /dev/zero; echo >> {done}; exec sleep 1000",
        go = go.display(),
        done = done.display()
    );
    let options = ["--memory", "64m", "--memory-swap", "64m"];
    run(&docker, &stage, &name, (&options, &script));
    let recording = Recording::start(&["--container", &name, "--probe", "syscall"]);
    fs::write(&go, "").unwrap();
    wait_for("the end of what eats", || (lines(&done) == 1).then_some(()));
    let summary = Summary::of(&recording.stop());
    let died = deaths(&summary, "tail");
    assert_eq!(died.len(), 1, "{}", summary.json["deaths"]);
    let death = died[0];
    assert_eq!((&death["signal"], &death["out_of_memory"]), (&"SIGKILL".into(), &true.into()), "{death}");
    assert_eq!(death["container"], name.as_str(), "{death}");
    assert!(summary.text.contains("out of memory"), "{}", summary.text);
}

#[test]
fn docker_restart_and_a_new_container_of_the_same_name() {
    let test = "docker_restart_and_a_new_container_of_the_same_name";
    let Some(stage) = Stage::set(test) else { return };
    let Some(docker) = Docker::start(test) else { return };
    let (name, count) = (unique("web"), stage.dir().join("web.count"));
    let program = stage.program("workload");
    let script = format!("{program} getppid-loop 1000 2; echo >> {}; exec sleep 1000", count.display());
    let up = |instances| wait_for("an instance", || (lines(&count) >= instances).then_some(()));
    run(&docker, &stage, &name, (&[], &script));
    up(1);
    let recording = Recording::start(&["--container", &name, "--probe", "syscall"]);
    output(docker.command().args(["restart", "-t", "0", &name]));
    up(2);
    output(docker.command().args(["rm", "-f", &name]));
    run(&docker, &stage, &name, (&[], &script));
    up(3);
    output(docker.command().args(["restart", "-t", "0", &name]));
    up(4);
    let summary = Summary::of(&recording.stop());
    assert_instances(&summary, 3);
    assert_eq!(gaps(&summary), (3, 0), "{}", summary.json["absences"]);
    let killed = deaths(&summary, "sleep");
    assert_eq!(killed.len(), 3, "{}", summary.json["deaths"]);
    for death in killed {
        assert_eq!((&death["signal"], &death["sender"]), (&"SIGKILL".into(), &"process".into()), "{death}");
    }
}

#[test]
fn a_container_that_is_not_there_yet_is_waited_for() {
    let test = "a_container_that_is_not_there_yet_is_waited_for";
    let Some(stage) = Stage::set(test) else { return };
    let Some(docker) = Docker::start(test) else { return };
    let (name, count) = (unique("late"), stage.dir().join("late.count"));
    let program = stage.program("workload");
    let script = format!("{program} getppid-loop 1000 2; echo >> {}; exec sleep 1000", count.display());
    let out = stage.dir().join("late.out");
    let mut command = Command::new(profiler());
    command.args(["record", "--json", "--wait", "--container", &name, "--probe", "syscall", "-o"]).arg(&out);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut recording = Process(command.spawn().unwrap());
    wait_for("the capture", || out.join("capture.partial").exists().then_some(()));
    run(&docker, &stage, &name, (&[], &script));
    wait_for("an instance", || (lines(&count) >= 1).then_some(()));
    crate::support::live::send(recording.pid(), "INT");
    let status = wait_for("the recording's end", || recording.0.try_wait().unwrap());
    assert!(status.success(), "{status}");
    let summary = Summary::read(&out);
    assert_instances(&summary, 1);
    assert_eq!(gaps(&summary), (0, 0), "the recording begins with it: {}", summary.json["absences"]);
}

#[test]
fn a_cgroup_that_is_removed_and_made_again() {
    let test = "a_cgroup_that_is_removed_and_made_again";
    let Some(stage) = Stage::set(test) else { return };
    let path = format!("/{}", unique("prof-again"));
    let program = stage.program("workload");
    let Some(first) = Cgroup::make("memory", &path) else {
        crate::support::skipped(test, "no cgroup can be made here");
        return;
    };
    let recording = Recording::start(&["--cgroup", &path, "--probe", "syscall"]);
    let work = |cgroup: &Cgroup| {
        let script =
            format!("echo $$ > {}/cgroup.procs; {program} getppid-loop 1000 2; exit 0", cgroup.dir.display());
        output(Command::new("sh").args(["-c", &script]));
    };
    work(&first);
    drop(first);
    for _ in 0..3 {
        let next = Cgroup::make("memory", &path).unwrap();
        work(&next);
    }
    let summary = Summary::of(&recording.stop());
    assert_instances(&summary, 4);
    assert_eq!(gaps(&summary), (3, 1), "{}", summary.json["absences"]);
    let refused = Command::new(profiler()).args(["record", "--cgroup", &path, "-d", "1s"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "without --wait it must be there");
}
