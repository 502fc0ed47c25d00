//! Target resolution against real containers: Docker, bare runc, bare cgroups, and a pod whose shim
//! and bundle are laid out as containerd's CRI does it.
//!
//! In: root and the packages that `support` names. Out: filters whose id is the directory's inode and
//! whose level is its depth, and nothing left behind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up fails")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use profiler::failure::Failure;
use profiler::target::{CgroupFilter, Host, Owners, Resolved, Selection, list, resolve, write_list};
use support::pod::Shim;
use support::{Cgroup, Docker, Process, Runc, can_run, skipped, wait_for};

fn host() -> Host {
    Host::discover().unwrap()
}

fn container(name: &str) -> Selection {
    Selection { containers: vec![name.into()], ..Selection::default() }
}

fn refused(selection: &Selection) -> String {
    match resolve(&host(), selection) {
        Err(Failure::Usage(line)) => line,
        other => panic!("not refused as usage: {other:?}"),
    }
}

/// The pids in a cgroup directory and below, as the kernel lists them.
fn members(dir: &Path) -> BTreeSet<u32> {
    let own = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let mut all: BTreeSet<u32> = own.lines().map(|line| line.parse().unwrap()).collect();
    for entry in fs::read_dir(dir).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        all.extend(members(&entry.path()));
    }
    all
}

/// Checks a filter against an independent reading: `/proc/PID/cgroup`, the mount table and `stat`.
fn assert_filter(filter: &CgroupFilter, pid: u32) {
    let (controller, id, level) = match filter {
        CgroupFilter::V2 { id, level, .. } => ("", *id, *level),
        CgroupFilter::V1 { controller, id, level, .. } => (controller.as_str(), *id, *level),
    };
    let lines = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let of = |line: &&str| line.split(':').nth(1).unwrap().split(',').any(|name| name == controller);
    let path = lines.lines().find(of).unwrap().splitn(3, ':').nth(2).unwrap().to_owned();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounted = |line: &&str| match controller {
        "" => line.contains(" - cgroup2 "),
        _ => line.contains(" - cgroup ") && line.rsplit([' ', ',']).any(|option| option == controller),
    };
    let mount = mounts.lines().find(mounted).unwrap().split(' ').nth(4).unwrap();
    let inode = fs::metadata(format!("{mount}{path}")).unwrap().ino();
    assert_eq!(id, inode, "{filter} is not {mount}{path}");
    assert_eq!(level as usize, path.matches('/').count(), "{filter} has the wrong level for {path}");
}

fn only_filter(resolved: &Resolved) -> &CgroupFilter {
    assert_eq!(resolved.cgroups.len(), 1, "{resolved:?}");
    &resolved.cgroups[0]
}

#[test]
fn docker_containers_by_name_id_prefix_and_ambiguity() {
    let Some(docker) = Docker::start("docker_containers_by_name_id_prefix_and_ambiguity") else { return };
    // Other daemons on this machine may run a `web` too.
    let web = format!("web-{}", std::process::id());
    let id = docker.run(&web, &[], &["sh", "-c", "sleep 1000 & exec sleep 1001"]);
    let pid = docker.pid(&web);
    let children = format!("/proc/{pid}/task/{pid}/children");
    wait_for("the second sleep", || (!fs::read_to_string(&children).ok()?.is_empty()).then_some(()));
    let by_name = resolve(&host(), &container(&web)).unwrap();
    assert_filter(only_filter(&by_name), pid);
    assert_eq!(by_name.expected, 2, "{by_name:?}");
    assert_eq!(by_name.note.label, format!("container {web}"));
    assert!(by_name.note.details.contains(&("image".into(), "busybox:test".into())), "{:?}", by_name.note);
    let by_id = resolve(&host(), &container(&id[..12])).unwrap();
    assert_eq!(by_id.cgroups, by_name.cgroups);

    listed(&id, &web, pid);
    ambiguous(&id, pid);
    let line = refused(&container("absent-x"));
    assert!(line.contains("no container matches 'absent-x'") && line.contains(&web), "{line}");
    exec_is_followed(&docker, &web, &id, pid);
}

fn listed(id: &str, name: &str, pid: u32) {
    let seen = list(&host()).into_iter().find(|own| own.id == id).unwrap();
    assert_eq!(
        (seen.runtime.as_str(), seen.name.as_str(), seen.image.as_str()),
        ("docker", name, "busybox:test")
    );
    assert!(seen.pids.contains(&pid) && seen.pids.len() == 2, "{seen:?}");
    let mut table = Vec::new();
    write_list(&[seen], false, &mut table).unwrap();
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains(name) && table.contains(&id[..12]) && table.contains("busybox:test"), "{table}");
}

/// A second container whose id begins like the first one's: Docker cannot be asked for one, a cgroup can.
fn ambiguous(id: &str, pid: u32) {
    let twin = format!("{}{}", &id[..12], "0".repeat(52));
    let (controller, path) = ("memory", format!("prof-twin-{}/{twin}", std::process::id()));
    let Some(cgroup) = Cgroup::make(controller, &path).or_else(|| Cgroup::make("", &path)) else {
        return skipped("an ambiguous id prefix", "no cgroup hierarchy is mounted");
    };
    let process = cgroup.spawn(Command::new("sleep").arg("1000"));
    let line = refused(&container(&id[..8]));
    assert!(line.contains("2 containers match") && line.contains("busybox:test"), "{line}");
    assert!(line.contains(&pid.to_string()) && line.contains(&process.pid().to_string()), "{line}");
    let whole = resolve(&host(), &container(&twin)).unwrap();
    assert_filter(only_filter(&whole), process.pid());
}

/// A process that enters by `docker exec` belongs to the container, also for [`Owners`].
fn exec_is_followed(docker: &Docker, name: &str, id: &str, pid: u32) {
    let mut owners = Owners::new(host());
    assert_eq!(owners.owner_of_pid(pid).unwrap().container, name);
    let mut exec = Process(docker.exec(name, &["sleep", "1002"]));
    let entered = wait_for("docker exec", || {
        let seen = list(&host()).into_iter().find(|own| own.id == id)?;
        let is = |pid: &&u32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x001002\0")
        };
        seen.pids.iter().find(is).copied()
    });
    let owner = owners.owner_of_pid(entered).unwrap();
    assert_eq!(owner.container, name);
    assert!(owner.cgroup.contains(id), "{owner:?}");
    let filter = resolve(&host(), &container(name)).unwrap().cgroups.remove(0);
    if let CgroupFilter::V2 { id: cgroup, .. } = filter {
        assert_eq!(owners.owner_of_cgroup(cgroup).unwrap(), owner);
    }
    assert!(owners.owner_of_cgroup(u64::MAX).is_none());
    let own = owners.owner_of_pid(std::process::id()).unwrap();
    assert_ne!(own.container, name);
    // A container that starts after the first look is named, too.
    let later = format!("later-{}", std::process::id());
    docker.run(&later, &[], &["sleep", "1000"]);
    assert_eq!(owners.owner_of_pid(docker.pid(&later)).unwrap().container, later);
    docker.remove(name);
    let _ = exec.0.wait();
    assert!(owners.owner_of_pid(entered).is_none(), "the process is gone");
}

#[test]
fn a_bare_runc_container_is_found_by_its_namespace() {
    let name = format!("bare-{}", std::process::id());
    let Some(runc) = Runc::run("a_bare_runc_container_is_found_by_its_namespace", &name, &["sleep", "1000"])
    else {
        return;
    };
    let resolved = resolve(&host(), &container(&name)).unwrap();
    assert_filter(only_filter(&resolved), runc.pid);
    assert_eq!(resolved.expected, 1, "{resolved:?}");
    let mut owners = Owners::new(host());
    assert_eq!(owners.owner_of_pid(runc.pid).unwrap().container, name);
    let later = format!("later-{}", std::process::id());
    let later_runc =
        Runc::run("a_bare_runc_container_is_found_by_its_namespace", &later, &["sleep", "1000"]).unwrap();
    assert_eq!(owners.owner_of_pid(later_runc.pid).unwrap().container, later);
}

#[test]
fn a_v1_cgroup_and_a_v2_cgroup_by_directory_and_by_path() {
    if !can_run("a_v1_cgroup_and_a_v2_cgroup_by_directory_and_by_path", &["sleep"]) {
        return;
    }
    for controller in ["memory", "pids", ""] {
        let path = format!("prof-target-{}/inner{controller}", std::process::id());
        let Some(cgroup) = Cgroup::make(controller, &path) else {
            skipped("a bare cgroup", &format!("hierarchy '{controller}' is not mounted"));
            continue;
        };
        let process = cgroup.spawn(Command::new("sleep").arg("1000"));
        for want in [cgroup.dir.to_str().unwrap(), &format!("/{path}"), &path] {
            let selection = Selection { cgroups: vec![want.to_owned()], ..Selection::default() };
            let resolved = resolve(&host(), &selection).unwrap();
            let filter = only_filter(&resolved);
            assert_filter(filter, process.pid());
            assert_eq!(matches!(filter, CgroupFilter::V2 { .. }), controller.is_empty(), "{want}: {filter}");
            assert_eq!(resolved.expected, members(&cgroup.dir).len(), "{want}");
        }
        let outside =
            Selection { cgroups: vec![path], pids: vec![std::process::id()], ..Selection::default() };
        drop(process);
        assert!(refused(&outside).contains("no process is in all of"));
    }
    let absent = Selection { cgroups: vec!["/no/such/cgroup".into()], ..Selection::default() };
    assert!(refused(&absent).contains("/no/such/cgroup"));
    let escape = Selection { cgroups: vec!["../../../etc".into()], ..Selection::default() };
    assert!(refused(&escape).contains("no cgroup"));
}

#[test]
fn a_unit_by_name() {
    if !can_run("a_unit_by_name", &["sleep"]) {
        return;
    }
    let name = format!("prof-{}", std::process::id());
    let Some(cgroup) = Cgroup::make("", &format!("system.slice/{name}.service")) else {
        return skipped("a_unit_by_name", "cgroup2 is not mounted");
    };
    let process = cgroup.spawn(Command::new("sleep").arg("1000"));
    let resolved =
        resolve(&host(), &Selection { units: vec![name.clone()], ..Selection::default() }).unwrap();
    assert_filter(only_filter(&resolved), process.pid());
    assert_eq!((resolved.expected, resolved.note.label), (1, format!("unit {name}.service")));
    let twin = Cgroup::make("", &format!("user.slice/{name}.service")).unwrap();
    let line = refused(&Selection { units: vec![name], ..Selection::default() });
    assert!(line.contains("system.slice/") && line.contains("user.slice/"), "{line}");
    drop(twin);
}

#[test]
fn a_pod_by_its_shims_bundles() {
    if !can_run("a_pod_by_its_shims_bundles", &["sleep"]) {
        return;
    }
    let (sandbox, app) = ("5".repeat(64), format!("{:064x}", std::process::id()));
    let pod = format!("web-{}", std::process::id());
    let common = |kind: &str| {
        serde_json::json!({
            "io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-name": pod,
            "io.kubernetes.cri.sandbox-namespace": "prod",
        })
    };
    let mut container_notes = common("container");
    container_notes["io.kubernetes.cri.container-name"] = "app\u{1b}[31m".into();
    container_notes["io.kubernetes.cri.image-name"] = "registry.example/app:1".into();
    let dir = tempfile::tempdir().unwrap();
    let uid = format!("0f3cb1b4-92d3-4c7a-9f0e-{:012x}", std::process::id());
    let parent = format!("kubepods/burstable/pod{uid}");
    let made: Option<Vec<Cgroup>> =
        ["", &sandbox, &app].into_iter().map(|id| Cgroup::make("", &format!("{parent}/{id}"))).collect();
    let Some(made) = made else { return skipped("a_pod_by_its_shims_bundles", "cgroup2 is not mounted") };
    let shim = Shim::start(dir.path(), &[(&sandbox, common("sandbox")), (&app, container_notes)]);
    made[1].adopt(shim.children[0]);
    made[2].adopt(shim.children[1]);

    let seen = list(&host()).into_iter().find(|own| own.id == app).unwrap();
    assert_eq!(
        (seen.runtime.as_str(), seen.name.as_str(), seen.pod.as_str()),
        ("containerd", "app\u{1b}[31m", pod.as_str())
    );
    assert_eq!((seen.namespace.as_str(), seen.image.as_str()), ("prod", "registry.example/app:1"));
    assert_eq!((seen.pod_uid.as_str(), seen.pids.as_slice()), (uid.as_str(), &shim.children[1..]));
    for want in [pod.clone(), format!("prod/{pod}"), uid] {
        let resolved = resolve(&host(), &Selection { pods: vec![want], ..Selection::default() }).unwrap();
        let CgroupFilter::V2 { id, level, path } = only_filter(&resolved) else { panic!("{resolved:?}") };
        assert_eq!((*id, *level), (fs::metadata(&made[0].dir).unwrap().ino(), 3));
        assert_eq!((path.as_str(), resolved.expected), (format!("/{parent}").as_str(), 2));
    }
    let both = Selection { pods: vec![pod.clone()], containers: vec![app], ..Selection::default() };
    assert_filter(only_filter(&resolve(&host(), &both).unwrap()), shim.children[1]);
    let line = refused(&container("nothing-like-it"));
    assert!(line.contains("app\\u{1b}[31m") && !line.contains('\u{1b}'), "{line:?}");
    drop(shim);
    made.into_iter().rev().for_each(drop);
}

#[test]
fn processes_threads_and_names() {
    let host = host();
    if !host.sees_host_pids() {
        skipped("processes_threads_and_names", "not in the host's pid namespace");
        return;
    }
    let shell =
        Process(Command::new("sh").args(["-c", "sleep 1000 & wait"]).stdin(Stdio::null()).spawn().unwrap());
    let children = format!("/proc/{0}/task/{0}/children", shell.pid());
    let child: u32 =
        wait_for("the shell's child", || fs::read_to_string(&children).ok()?.trim().parse().ok());
    let by_pid = Selection { pids: vec![shell.pid()], ..Selection::default() };
    let resolved = resolve(&host, &by_pid).unwrap();
    assert_eq!(resolved.pids.as_ref().unwrap(), &[shell.pid(), child]);
    assert_eq!(resolved.note.label, format!("pid {}", shell.pid()));
    let named = wait_for("the child's exec", || {
        let resolved = resolve(&host, &Selection { comms: vec!["sleep".into()], ..by_pid.clone() }).unwrap();
        (resolved.expected == 1).then_some(resolved)
    });
    assert_eq!(named.comms, ["sleep"]);
    let later =
        resolve(&host, &Selection { comms: vec!["not-yet-here".into()], ..Selection::default() }).unwrap();
    assert_eq!(later.expected, 0);
    assert!(later.note.details.iter().any(|(_, value)| value.contains("waiting")), "{:?}", later.note);
    let _ = Command::new("kill").arg(child.to_string()).status();

    let (tell, told) = std::sync::mpsc::channel();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let link = fs::read_link("/proc/thread-self").unwrap();
        tell.send(link.file_name().unwrap().to_str().unwrap().parse::<u32>().unwrap()).unwrap();
        let _ = stopped.recv();
    });
    let tid = told.recv().unwrap();
    let line = refused(&Selection { pids: vec![tid], ..Selection::default() });
    assert!(line.contains(&format!("{tid} is a thread of process {}", std::process::id())), "{line}");
    drop(stop);
    thread.join().unwrap();
    let line = refused(&Selection { pids: vec![u32::MAX], ..Selection::default() });
    assert!(line.contains("no process 4294967295"), "{line}");
    let whole = resolve(&host, &Selection::default()).unwrap();
    assert_eq!(whole.note.label, "whole machine");
    assert!(whole.expected > 1 && whole.cgroups.is_empty() && whole.pids.is_none());
}

/// How the profiler is run from a pod for debugging: the host's pid namespace, its own mounts, and with
/// or without a cgroup namespace of its own. This very test program runs inside, as `inside`.
#[test]
fn from_a_debug_container_the_host_is_seen() {
    let test = "from_a_debug_container_the_host_is_seen";
    let Some(docker) = Docker::start(test) else { return };
    let target = format!("target-{}", std::process::id());
    docker.run(&target, &[], &["sleep", "1000"]);
    let want = resolve(&host(), &container(&target)).unwrap();
    for namespace in ["host", "private"] {
        let mut run = docker.command();
        run.args(["run", "--rm", "--network", "none", "--pid", "host", "--cap-add", "SYS_PTRACE"]);
        run.args(["--security-opt", "seccomp=unconfined", "--cgroupns", namespace]);
        run.args([
            "--volume",
            "/lib:/lib:ro",
            "--volume",
            "/lib64:/lib64:ro",
            "--volume",
            "/usr/lib:/usr/lib:ro",
        ]);
        run.arg("--volume").arg(format!("{}:/inside:ro", std::env::current_exe().unwrap().display()));
        run.args(["--env", &format!("PROFILER_TEST_TARGET={target}"), "busybox:test"]);
        let seen = support::output(run.args(["/inside", "--ignored", "--exact", "inside", "--nocapture"]));
        let filters = format!("FOUND {:?} {}", want.cgroups, want.expected);
        assert!(seen.contains(&filters), "{namespace}: no {filters} in {seen}");
        assert!(
            seen.contains("IMAGE busybox:test") && seen.contains("IN CONTAINER true"),
            "{namespace}: {seen}"
        );
    }
}

#[test]
#[ignore = "run by from_a_debug_container_the_host_is_seen"]
fn inside() {
    let Ok(target) = std::env::var("PROFILER_TEST_TARGET") else {
        return skipped("inside", "runs inside the container of from_a_debug_container_the_host_is_seen");
    };
    let found = resolve(&host(), &container(&target)).unwrap();
    println!("FOUND {:?} {}", found.cgroups, found.expected);
    println!("IMAGE {}", found.note.details.iter().find(|(key, _)| key == "image").unwrap().1);
    println!("IN CONTAINER {}", host().in_container());
}

/// The same on a machine whose only cgroups are cgroup2: this program again, in a mount namespace.
#[test]
fn on_pure_cgroup2() {
    if !can_run("on_pure_cgroup2", &["unshare", "dockerd", "runc"]) {
        return;
    }
    if host().layout() == "v2" {
        return; // Then every other test is that already.
    }
    let mount = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
    let mut again = Command::new("unshare");
    again
        .args(["--mount", "--propagation", "private", "sh", "-c", mount, "sh"])
        .arg(std::env::current_exe().unwrap());
    again.args([
        "--test-threads",
        "2",
        "--exact",
        "layout_is_told",
        "a_bare_runc_container_is_found_by_its_namespace",
    ]);
    again.args([
        "docker_containers_by_name_id_prefix_and_ambiguity",
        "from_a_debug_container_the_host_is_seen",
    ]);
    let seen = support::output(again.env("PROFILER_TEST_LAYOUT", "v2"));
    assert!(seen.contains("4 passed; 0 failed"), "{seen}");
}

#[test]
fn layout_is_told() {
    let want = std::env::var("PROFILER_TEST_LAYOUT");
    let told = host().layout();
    match want {
        Ok(want) => assert_eq!(told, want),
        Err(_) => assert!(["v1", "v2", "hybrid"].contains(&told), "{told}"),
    }
}
