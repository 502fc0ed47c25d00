//! Real containers and cgroups for tests: a Docker daemon of our own, runc, bare cgroups.
//!
//! In: `dockerd`, `docker`, `runc` and a static `busybox` from packages, and root. Out: running
//! containers that are stopped, and mounts, cgroups and processes that are gone, when the values drop.
//! Where something is missing, `start` prints a SKIPPED line past the test harness and returns `None`.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test file uses a part of it; a set-up that fails fails the test"
)]

pub mod fuse;
pub mod host;
pub mod limits;
pub mod live;
pub mod pod;
pub mod scope;
pub mod server;
pub mod session;
pub mod witness;

pub use limits::{cpus, has_two_cpus};

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// True when `test` can run; else says loudly why not. `tools` are looked up in PATH.
pub fn can_run(test: &str, tools: &[&str]) -> bool {
    let missing = tools.iter().find(|tool| !in_path(tool));
    let why = match missing {
        _ if !is_root() => "needs root".to_owned(),
        Some(tool) => format!("needs {tool}"),
        None => return true,
    };
    skipped(test, &why);
    false
}

/// Says past the test harness, which keeps what the print macros write, that a test did not run. On a line of its own
/// on stdout: the harness has begun one there, and `cargo xtask test` counts what it reads there.
pub fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stdout(), "\nSKIPPED {test}: {why}");
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t0")))
}

fn in_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(tool).is_file())
}

/// Waits until `ready` gives a value.
pub fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    live::told(judge::wait::until(what, judge::wait::USUAL, || Ok(ready())))
}

/// Builds a busybox root directory: `bin/busybox` and a link per applet.
pub fn busybox_root(root: &Path) {
    for dir in ["bin", "tmp", "proc", "sys", "dev", "etc"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let busybox =
        std::env::split_paths(&path).map(|dir| dir.join("busybox")).find(|file| file.is_file()).unwrap();
    fs::copy(&busybox, root.join("bin/busybox")).unwrap();
    for applet in output(Command::new(&busybox).arg("--list")).lines().filter(|applet| *applet != "busybox") {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
}

/// Runs a command that must succeed; its stdout, trimmed.
pub fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).trim().to_owned()
}

/// A Docker daemon with data, state and socket below a temporary directory, and the image `busybox:test`.
pub struct Docker {
    dir: tempfile::TempDir,
    daemon: Child,
    made_parent: bool,
}

impl Docker {
    /// Starts the daemon and imports the image; `None` (and a SKIPPED line) where it cannot run.
    pub fn start(test: &str) -> Option<Self> {
        if !can_run(test, &["dockerd", "docker", "busybox", "tar"]) {
            return None;
        }
        // It gives up by itself where its containerd is up too late (a disk busy for 15 s): then once more.
        let mut said = String::new();
        for _ in 0..3 {
            let mut docker = Self::launch();
            if docker.answers() {
                docker.import();
                return Some(docker);
            }
            said = docker.log();
            let _ = writeln!(std::io::stderr(), "dockerd ended: {said}");
        }
        panic!("dockerd ended: {said}");
    }

    fn launch() -> Self {
        let dir = tempfile::Builder::new().prefix("prof-docker-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let log = fs::File::create(at("log")).unwrap();
        let daemon = Command::new("dockerd")
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--host")
            .arg(format!("unix://{}", at("socket").display()))
            .args(["--bridge=none", "--iptables=false", "--storage-driver=vfs"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let made_parent = !cgroup_dirs("docker").iter().any(|dir| dir.exists());
        Self { dir, daemon, made_parent }
    }

    /// Waits until it takes orders; false when it has ended instead.
    fn answers(&mut self) -> bool {
        wait_for("dockerd", || {
            let ended = self.daemon.try_wait().unwrap().is_some();
            let answers = || self.command().args(["version"]).output().unwrap().status.success();
            (ended || answers()).then_some(!ended)
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn import(&self) {
        let root = self.dir.path().join("root");
        busybox_root(&root);
        let mut tar = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .args(["-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let archive = tar.stdout.take().unwrap();
        let import = self.command().args(["import", "-", "busybox:test"]).stdin(archive).output().unwrap();
        assert!(tar.wait().unwrap().success() && import.status.success(), "docker import: {import:?}");
    }

    /// `docker` talking to this daemon.
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command
            .arg("--host")
            .arg(format!("unix://{}", self.dir.path().join("socket").display()))
            .env_remove("DOCKER_HOST");
        command
    }

    /// Starts a container without network; its full id. `options` go to `docker run`, which is tried once more:
    /// the daemon kills a containerd that answers too late, and starts it again.
    pub fn run(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        let run = || {
            let mut run = self.command();
            run.args(["run", "--detach", "--network", "none", "--name", name]).args(options);
            run.arg("busybox:test").args(command);
            run
        };
        let first = run().stdin(Stdio::null()).output().unwrap();
        if first.status.success() {
            return String::from_utf8_lossy(&first.stdout).trim().to_owned();
        }
        let _ = writeln!(std::io::stderr(), "docker run: {}", String::from_utf8_lossy(&first.stderr));
        self.remove(name);
        output(&mut run())
    }

    /// The container's first process, as the host numbers it.
    pub fn pid(&self, name: &str) -> u32 {
        output(self.command().args(["inspect", "--format", "{{.State.Pid}}", name])).parse().unwrap()
    }

    /// Starts a command inside a container.
    pub fn exec(&self, name: &str, command: &[&str]) -> Child {
        let mut exec = self.command();
        exec.args(["exec", name]).args(command).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Kills and removes a container.
    pub fn remove(&self, name: &str) {
        output(self.command().args(["rm", "--force", name]));
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let all = self.command().args(["ps", "--all", "--quiet"]).output();
        let all = all.map(|all| String::from_utf8_lossy(&all.stdout).into_owned()).unwrap_or_default();
        for id in all.lines() {
            let _ = self.command().args(["rm", "--force", id]).output();
        }
        end(&mut self.daemon);
        unmount_below(self.dir.path());
        if self.made_parent {
            cgroup_dirs("docker").iter().for_each(|dir| drop(fs::remove_dir(dir)));
        }
    }
}

/// Asks a child to end, kills it when it does not; both by its pid.
pub fn end(child: &mut Child) {
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let start = Instant::now();
    while matches!(child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Unmounts what is still mounted below a directory, deepest first.
fn unmount_below(dir: &Path) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut points: Vec<&str> = table.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    points.retain(|point| Path::new(point).starts_with(dir) && Path::new(point) != dir);
    points.sort_unstable_by_key(|point| std::cmp::Reverse(point.len()));
    for point in points {
        let _ = Command::new("umount").args(["--lazy", point]).status();
    }
}

/// `name` at the root of each mounted hierarchy.
fn cgroup_dirs(name: &str) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let cgroups = table.lines().filter(|line| line.contains(" - cgroup"));
    cgroups.filter_map(|line| Some(Path::new(line.split(' ').nth(4)?).join(name))).collect()
}

/// A container run by `runc run` alone: no shim, no daemon, and a state directory of its own.
pub struct Runc {
    dir: tempfile::TempDir,
    name: String,
    /// Its first process.
    pub pid: u32,
}

impl Runc {
    /// Runs `command` in a container called `name`; `None` (and a SKIPPED line) where it cannot run.
    pub fn run(test: &str, name: &str, command: &[&str]) -> Option<Self> {
        Self::run_with(test, name, command, &[])
    }

    /// The same with directories of the host mounted at the same place inside, and userfaultfd allowed.
    pub fn run_with(test: &str, name: &str, command: &[&str], mounts: &[&Path]) -> Option<Self> {
        if !can_run(test, &["runc", "busybox"]) {
            return None;
        }
        let dir = tempfile::Builder::new().prefix("prof-runc-").tempdir().unwrap();
        busybox_root(&dir.path().join("rootfs"));
        output(Command::new("runc").arg("spec").current_dir(dir.path()));
        let config = dir.path().join("config.json");
        let mut spec: serde_json::Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        spec["process"]["args"] = command.into();
        spec["process"]["terminal"] = false.into();
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set].as_array_mut().unwrap().push("CAP_SYS_PTRACE".into());
        }
        for path in mounts {
            let mount = serde_json::json!({
                "destination": path, "source": path, "type": "bind", "options": ["rbind", "rw"],
            });
            spec["mounts"].as_array_mut().unwrap().push(mount);
            fs::create_dir_all(dir.path().join("rootfs").join(path.strip_prefix("/").unwrap())).unwrap();
        }
        fs::write(&config, spec.to_string()).unwrap();
        let mut container = Self { dir, name: name.to_owned(), pid: 0 };
        let pid_file = container.dir.path().join("pid");
        let mut run = container.command();
        run.args(["run", "--detach", "--pid-file"])
            .arg(&pid_file)
            .arg("--bundle")
            .arg(container.dir.path())
            .arg(name);
        let quiet = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(quiet.status().unwrap().success(), "runc run {name} failed");
        container.pid = fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
        Some(container)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.dir.path().join("state"));
        command
    }
}

impl Drop for Runc {
    fn drop(&mut self) {
        let _ = self.command().args(["delete", "--force", &self.name]).output();
        unmount_below(self.dir.path());
    }
}

/// A cgroup of our own; processes still in it are killed when it drops, then it is removed.
pub struct Cgroup {
    /// Its directory.
    pub dir: PathBuf,
    made: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes `path` below the mount of a v1 controller, or of cgroup2 with `""`; `None` where that
    /// hierarchy is not mounted.
    pub fn make(controller: &str, path: &str) -> Option<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let is = |line: &&str| match controller {
            "" => line.contains(" - cgroup2 "),
            _ => line.contains(" - cgroup ") && line.rsplit([' ', ',']).any(|option| option == controller),
        };
        let mount = PathBuf::from(table.lines().find(is)?.split(' ').nth(4)?);
        let mut cgroup = Self { dir: mount, made: Vec::new() };
        for name in path.split('/').filter(|name| !name.is_empty()) {
            cgroup.dir.push(name);
            if !cgroup.dir.is_dir() {
                fs::create_dir(&cgroup.dir).unwrap();
                cgroup.made.push(cgroup.dir.clone());
            }
        }
        Some(cgroup)
    }

    /// Moves a process into it.
    pub fn adopt(&self, pid: u32) {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    /// Starts a command in it.
    pub fn spawn(&self, command: &mut Command) -> Process {
        let process = Process(command.stdin(Stdio::null()).spawn().unwrap());
        self.adopt(process.0.id());
        process
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if !self.made.contains(&self.dir) {
            return;
        }
        for dir in self.made.iter().rev() {
            let start = Instant::now();
            while fs::remove_dir(dir).is_err() && dir.exists() && start.elapsed() < Duration::from_secs(5) {
                let pids = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
                for pid in pids.lines() {
                    let _ = Command::new("kill").args(["-KILL", pid]).status();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A child that is killed and reaped when it drops.
pub struct Process(pub Child);

impl Process {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
