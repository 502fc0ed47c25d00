//! Who is measured, by containers and cgroups: everything inside the target, exactly nothing outside.
//!
//! In: Docker, runc and bare cgroups running the workload, and a neighbour running the same program
//! outside. Out: counts that are the workload's own, to the call, and names.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up fails")]

use std::path::Path;
use std::process::Command;

use crate::support::live::{Recording, profiler};
use crate::support::scope::{Shell, Stage, Summary};
use crate::support::{Cgroup, Docker, Runc, can_run, output, skipped, wait_for};

/// One of everything, for all probes.
fn round(program: &str) -> String {
    format!(
        "{program} getppid-loop 1000 2; {program} spawn 20; {program} dup-close 2 200; \
         {program} stalled-pipe 3 20; {program} burn-70-30 300"
    )
}

/// That round is in the recording to the call, and nothing of a neighbour's.
fn assert_round(summary: &Summary, comm: &str, printed: &str, rounds: u64) {
    summary.assert_clean();
    summary.assert_calls(comm, "getppid", rounds * (2 * 1000 + 20 * 5));
    summary.assert_calls(comm, "nanosleep", rounds * 24);
    summary.assert_calls(comm, "execve", rounds * 5);
    summary.assert_calls(comm, "dup", duplicates(printed));
    // The waits of known length: what a busy machine adds is shorter.
    let mutexes = summary.rows("lock").iter().filter(|row| row["comm"] == comm && row["kind"] == "mutex");
    let waited: u64 = mutexes.map(|row| row["total_ns"].as_u64().unwrap()).sum();
    assert!(waited >= rounds * 3 * 15_000_000, "{waited} ns of lock waits: {:?}", summary.rows("lock"));
    assert!(summary.rows("cpu").iter().any(|row| row["comm"] == comm), "{:?}", summary.rows("cpu"));
}

/// How often `dup-close` duplicated a descriptor, by its own count.
fn duplicates(printed: &str) -> u64 {
    let lines = answers(printed).filter(|line| line["workload"] == "dup-close");
    lines.map(|line| line["operations"].as_u64().unwrap()).sum()
}

/// What workloads printed.
fn answers(printed: &str) -> impl Iterator<Item = serde_json::Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
}

fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// A container whose first process is the shell; the stage is mounted at the same place inside.
fn start_in_docker(docker: &Docker, stage: &Stage, shell: &Shell, name: &str) -> String {
    let volume = format!("{0}:{0}", stage.dir().display());
    // userfaultfd, by which the workload stalls a lock's holder.
    let stalls = ["--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined"];
    let options = [&["--volume", &volume], &stalls[..]].concat();
    let id = docker.run(name, &options, &["sh", "-c", &shell.script]);
    shell.is_up();
    id
}

#[test]
fn docker_by_name_and_by_id_prefix() {
    let test = "docker_by_name_and_by_id_prefix";
    let Some(stage) = Stage::set(test) else { return };
    let Some(docker) = Docker::start(test) else { return };
    let neighbour = stage.neighbour();
    let (web, other) = (unique("web"), unique("other"));
    let mut shell = stage.shell("web");
    let id = start_in_docker(&docker, &stage, &shell, &web);
    let mut beside = stage.shell("other");
    start_in_docker(&docker, &stage, &beside, &other);
    let program = stage.program("workload");
    for wanted in [web.as_str(), &id[..12]] {
        let recording = Recording::start(&["--container", wanted]);
        beside.begin(&round(&program));
        let printed = shell.run(&round(&program));
        beside.end();
        neighbour.make_noise();
        let summary = Summary::of(&recording.stop());
        assert_round(&summary, "workload", &printed, 1);
        summary.assert_container(&web);
        summary.assert_way(&format!("container {web}"), "cgroup v");
        // The first process's shell, 5 programs, 20 children.
        assert_eq!(summary.pids().len(), 1 + 5 + 20, "{:?}", summary.comms());
    }
}

#[test]
fn docker_short_lives_and_exec_into() {
    let test = "docker_short_lives_and_exec_into";
    let Some(stage) = Stage::set(test) else { return };
    let Some(docker) = Docker::start(test) else { return };
    let neighbour = stage.neighbour();
    let web = unique("brief");
    let mut shell = stage.shell("brief");
    start_in_docker(&docker, &stage, &shell, &web);
    let (brief, entered) = (stage.program("brief"), stage.program("entered"));
    let recording = Recording::start(&["--container", &web]);
    let line = format!(
        "i=0; while [ $i -lt 200 ]; do {brief} nanosleep 1 2; {brief} getppid-loop 3; i=$((i+1)); done"
    );
    shell.run(&line);
    output(docker.command().args(["exec", &web, &entered, "spawn", "10"]));
    neighbour.make_noise();
    let summary = Summary::of(&recording.stop());
    summary.assert_clean();
    summary.assert_calls("brief", "execve", 400);
    assert_eq!(summary.calls("brief", "nanosleep").len(), 200);
    summary.assert_calls("brief", "nanosleep", 200);
    summary.assert_calls("brief", "getppid", 200 * 3);
    assert_eq!(summary.calls("brief", "getppid").len(), 200);
    summary.assert_calls("entered", "getppid", 10 * 5);
    summary.assert_exact("sleeps", summary.count_beside("entered", "nanosleep", "getppid"), 10);
    summary.assert_container(&web);
}

#[test]
fn runc_by_name() {
    let test = "runc_by_name";
    let Some(stage) = Stage::set(test) else { return };
    let name = unique("bare");
    let mut shell = stage.shell("bare");
    let Some(_runc) = Runc::run_with(test, &name, &["sh", "-c", &shell.script], &[stage.dir()]) else {
        return;
    };
    shell.is_up();
    let neighbour = stage.neighbour();
    let recording = Recording::start(&["--container", &name]);
    let printed = shell.run(&round(&stage.program("workload")));
    neighbour.make_noise();
    let summary = Summary::of(&recording.stop());
    assert_round(&summary, "workload", &printed, 1);
    summary.assert_container(&name);
    summary.assert_way(&format!("container {name}"), "cgroup v");
}

#[test]
fn bare_cgroups_and_their_siblings() {
    let test = "bare_cgroups_and_their_siblings";
    let Some(stage) = Stage::set(test) else { return };
    let neighbour = stage.neighbour();
    for (controller, way) in [("memory", "cgroup v1 memory"), ("pids", "cgroup v1 pids"), ("", "cgroup v2")] {
        let parent = unique("prof-scope");
        let inside = Cgroup::make(controller, &format!("{parent}/a"));
        let sibling = Cgroup::make(controller, &format!("{parent}/b"));
        let (Some(inside), Some(sibling)) = (inside, sibling) else {
            skipped(test, &format!("hierarchy '{controller}' is not mounted"));
            continue;
        };
        let program = stage.program("workload");
        let mut shells = [&inside, &sibling].map(|cgroup| {
            let mut shell = stage
                .shell(&format!("{way}-{}", cgroup.dir.file_name().unwrap().display()).replace(' ', "-"));
            let process = shell.start();
            cgroup.adopt(process.pid());
            (shell, process)
        });
        let recording = Recording::start(&["--cgroup", inside.dir.to_str().unwrap()]);
        shells[1].0.begin(&round(&program));
        let printed = shells[0].0.run(&round(&program));
        shells[1].0.end();
        neighbour.make_noise();
        let summary = Summary::of(&recording.stop());
        assert_round(&summary, "workload", &printed, 1);
        let mut pids: Vec<u64> = answers(&printed).map(|line| line["pid"].as_u64().unwrap()).collect();
        pids.push(shells[0].1.pid().into());
        let seen = summary.pids();
        assert!(pids.iter().all(|pid| seen.contains(pid)), "{pids:?} in {seen:?}");
        assert_eq!(seen.len(), 1 + 5 + 20);
        assert!(!seen.contains(&u64::from(shells[1].1.pid())));
        summary.assert_way("cgroup", way);
        // Both: repeats of a kind OR.
        let both = [inside.dir.to_str().unwrap(), sibling.dir.to_str().unwrap()];
        let recording = Recording::start(&["--cgroup", both[0], "--cgroup", both[1], "--probe", "syscall"]);
        for (shell, _) in &mut shells {
            shell.run(&format!("{program} spawn 3"));
        }
        let summary = Summary::of(&recording.stop());
        summary.assert_clean();
        summary.assert_calls("workload", "getppid", 2 * 15);
    }
}

#[test]
fn kinds_and() {
    let test = "kinds_and";
    let Some(stage) = Stage::set(test) else { return };
    let Some(docker) = Docker::start(test) else { return };
    let _neighbour = stage.neighbour();
    let web = unique("and");
    let mut shell = stage.shell("and");
    start_in_docker(&docker, &stage, &shell, &web);
    let mut outside = stage.shell("outside");
    let _outside = outside.start();
    let (wanted, unwanted) = (stage.program("wanted"), stage.program("unwanted"));
    let recording = Recording::start(&["--container", &web, "--comm", "wanted"]);
    outside.begin(&round(&wanted));
    let printed = shell.run(&format!("{}; {}", round(&wanted), round(&unwanted)));
    outside.end();
    let summary = Summary::of(&recording.stop());
    summary.assert_clean();
    assert_eq!(summary.comms().into_iter().collect::<Vec<_>>(), comms_with_interrupts(&summary, &["wanted"]));
    summary.assert_container(&web);
    summary.assert_calls("wanted", "getppid", 2100);
    summary.assert_calls("wanted", "nanosleep", 24);
    let first: String = printed.lines().take(5).map(|line| format!("{line}\n")).collect();
    summary.assert_calls("wanted", "dup", duplicates(&first));
    summary.assert_way("comm wanted", "command name");
}

/// Those names, and `interrupt` if there is one: what happens to a target's CPU in its time.
fn comms_with_interrupts<'a>(summary: &Summary, comms: &[&'a str]) -> Vec<&'a str> {
    let interrupted = summary.comms().contains("interrupt");
    let mut all: Vec<&str> = comms.iter().copied().chain(interrupted.then_some("interrupt")).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_container_that_is_gone_keeps_its_names() {
    let test = "a_container_that_is_gone_keeps_its_names";
    let Some(stage) = Stage::set(test) else { return };
    let Some(docker) = Docker::start(test) else { return };
    let web = unique("gone");
    let mut shell = stage.shell("gone");
    start_in_docker(&docker, &stage, &shell, &web);
    // Its own copy, which goes with the container.
    output(docker.command().args(["cp", &stage.program("workload"), &format!("{web}:/doomed")]));
    let recording = Recording::start(&["--container", &web]);
    shell.run("/doomed pipe-reads 5 20; /doomed burn-70-30 300");
    docker.remove(&web);
    let summary = Summary::of(&recording.stop());
    summary.assert_clean();
    summary.assert_container(&web);
    assert_eq!(summary.comms().into_iter().find(|comm| !["sh", "doomed", "interrupt"].contains(comm)), None);
    let slow = summary.json["probes"]["syscall"]["slow"].as_array().unwrap();
    let read = slow.iter().find(|row| row["syscall"] == "read" && row["comm"] == "doomed").unwrap();
    assert!(frames(read).any(|frame| frame.contains("read_answered_late")), "{read}");
    let burnt = summary.rows("cpu").iter().filter(|row| row["comm"] == "doomed");
    assert!(burnt.flat_map(frames).any(|frame| frame.contains("burn_seventy")), "{:?}", summary.rows("cpu"));
}

fn frames(row: &serde_json::Value) -> impl Iterator<Item = &str> {
    row["stack"].as_array().unwrap().iter().map(|frame| frame.as_str().unwrap())
}

#[test]
fn the_whole_machine_names_containers() {
    let test = "the_whole_machine_names_containers";
    let Some(stage) = Stage::set(test) else { return };
    let Some(docker) = Docker::start(test) else { return };
    let web = unique("named");
    let mut shell = stage.shell("named");
    start_in_docker(&docker, &stage, &shell, &web);
    let brief = stage.program("brief-life");
    let recording = Recording::start(&["--probe", "syscall"]);
    let line = format!("i=0; while [ $i -lt 100 ]; do {brief} nanosleep 1 1; i=$((i+1)); done");
    shell.run(&line);
    // One that starts and ends while recording, with all its processes.
    let late = unique("late");
    let volume = format!("{0}:{0}", stage.dir().display());
    let late_life = stage.program("late-life");
    output(docker.command().args([
        "run",
        "--rm",
        "--network",
        "none",
        "--volume",
        &volume,
        "--name",
        &late,
        "busybox:test",
        &late_life,
        "spawn",
        "50",
    ]));
    let summary = Summary::of(&recording.stop());
    summary.assert_calls("brief-life", "nanosleep", 100);
    // The container's first process was runc before, whose calls are in its rows.
    let children = summary.calls("late-life", "getppid").into_iter().filter(|row| row["count"] == 5).count();
    summary.assert_exact("children of late-life", children as u64, 50);
    for (comm, container) in [("brief-life", &web), ("late-life", &late)] {
        let rows: Vec<_> = summary.everything().into_iter().filter(|row| row["comm"] == comm).collect();
        let nameless: Vec<_> = rows.iter().filter(|row| row["container"] != container.as_str()).collect();
        assert!(nameless.is_empty(), "{comm}: of {} rows without its container: {nameless:?}", rows.len());
    }
    assert!(summary.rows("syscall").iter().any(|row| row["container"] == ""), "nothing of the host");
}

/// How the profiler is run from a pod for debugging. `--privileged` wants every capability, which this
/// machine kind does not have; so they are named, as far as there are.
#[test]
fn from_a_debug_container() {
    let test = "from_a_debug_container";
    let Some(stage) = Stage::set(test) else { return };
    let Some(docker) = Docker::start(test) else { return };
    let neighbour = stage.neighbour();
    let web = unique("target");
    let mut shell = stage.shell("target");
    start_in_docker(&docker, &stage, &shell, &web);
    let debug = unique("debug");
    let mut run = docker.command();
    run.args(["run", "--rm", "--network", "none", "--pid", "host", "--name", &debug]);
    run.args(["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]);
    for capability in ["SYS_ADMIN", "SYS_PTRACE", "SYSLOG", "DAC_READ_SEARCH"] {
        run.args(["--cap-add", capability]);
    }
    for path in ["/lib:/lib:ro", "/lib64:/lib64:ro", "/usr/lib:/usr/lib:ro", "/sys:/sys"] {
        run.args(["--volume", path]);
    }
    let directory = stage.dir().join("debug");
    run.arg("--volume").arg(format!("{0}:{0}", stage.dir().display()));
    run.arg("--volume").arg(format!("{}:/profiler:ro", profiler().display()));
    run.args(["busybox:test", "/profiler", "record", "--container", &web, "-o"]).arg(&directory);
    let log = std::fs::File::create(stage.dir().join("debug.log")).unwrap();
    let mut client = run.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let said = || std::fs::read_to_string(stage.dir().join("debug.log")).unwrap();
    wait_for("the profiler in its container", || {
        let ended = client.try_wait().unwrap();
        assert!(ended.is_none(), "{}", said());
        (std::fs::metadata(directory.join("capture.partial")).ok()?.len() > 256).then_some(())
    });
    let printed = shell.run(&round(&stage.program("workload")));
    neighbour.make_noise();
    output(docker.command().args(["kill", "--signal", "INT", &debug]));
    let status = wait_for("the debug container's end", || client.try_wait().unwrap());
    assert!(status.success(), "{}", said());
    let summary = Summary::read(&directory);
    assert_round(&summary, "workload", &printed, 1);
    summary.assert_container(&web);
    summary.assert_way(&format!("container {web}"), "cgroup v");
}

/// The same on a machine whose only cgroups are cgroup2: this program again, in a mount namespace.
#[test]
fn on_pure_cgroup2() {
    let test = "on_pure_cgroup2";
    if Stage::set(test).is_none() || !can_run(test, &["unshare", "dockerd", "runc"]) {
        return;
    }
    if !Path::new("/sys/fs/cgroup/memory").exists() {
        return; // Then every other test is that already.
    }
    let mount = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
    let mut again = Command::new("unshare");
    again.args(["--mount", "--propagation", "private", "sh", "-c", mount, "sh"]);
    again.arg(std::env::current_exe().unwrap());
    again.args([
        "--test-threads",
        "1",
        "--exact",
        "scope::docker_by_name_and_by_id_prefix",
        "scope::runc_by_name",
    ]);
    again.args(["scope::the_whole_machine_names_containers"]);
    let seen = again.output().unwrap();
    let seen = String::from_utf8_lossy(&seen.stdout);
    // Marked: those lines count other tests than this run's.
    let failures = seen.split_once("\nfailures:\n").map_or(&*seen, |(_, failures)| failures);
    let failures: Vec<String> = failures.lines().map(|line| format!("| {line}")).collect();
    assert!(seen.contains("3 passed; 0 failed"), "\n{}", failures.join("\n"));
}
