//! Real servers from packages, each in a runc container whose programs are the host's own.
//!
//! In: a program's command line, limits. Out: a container by name, with a directory that it shares with the test: its
//! data, its sockets. The host's `/usr` and `/etc` are mounted read-only into it. It is gone when the value drops.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::linux::fs::MetadataExt as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::live::{Recorded, Recording, profiler};
use super::{can_run, output, unmount_below, wait_for};

/// The user that servers run as: `nobody`, who has a line in every `/etc/passwd`.
pub const USER: u32 = 65_534;

/// How long an incident is watched, once it is there.
pub const WATCHED: Duration = Duration::from_millis(1200);

/// A container's name that no other run has.
pub fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// Lets the incident go on for a while.
pub fn watch() {
    std::thread::sleep(WATCHED);
}

/// A limit on the disk that a directory is on, as a container's configuration has it.
pub fn throttled(dir: &Path, limit: &str, rate: u64) -> Value {
    let device = fs::metadata(dir).unwrap().st_dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    json!({ "blockIO": { limit: [{ "major": major, "minor": minor, "rate": rate }] } })
}

/// What runs beside a server: a shared directory that it may write to.
pub struct Shared(tempfile::TempDir);

impl Shared {
    /// A new one. Its path is short: a socket's is 107 bytes at most.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("prof-srv-").tempdir().unwrap();
        chown(dir.path(), Some(USER), Some(USER)).unwrap();
        Self(dir)
    }

    /// A path in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Its path as text.
    pub fn text(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// A directory in it that a server may write to.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(&path).unwrap();
        chown(&path, Some(USER), Some(USER)).unwrap();
        path
    }
}

/// A running container.
pub struct Server {
    bundle: tempfile::TempDir,
    name: String,
    /// Its first process.
    pub pid: u32,
}

impl Server {
    /// Runs `command` in a container called `name` with these limits (`linux.resources` of its configuration).
    pub fn run(name: &str, shared: &Shared, command: &[&str], resources: &Value) -> Self {
        let bundle = tempfile::Builder::new().prefix("prof-srv-").tempdir().unwrap();
        let root = bundle.path().join("rootfs");
        for dir in ["usr", "etc", "proc", "sys", "dev", "tmp", "run", "var/log/nginx", "var/lib/nginx"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).unwrap();
        }
        fs::create_dir_all(root.join(shared.text().trim_start_matches('/'))).unwrap();
        output(Command::new("runc").arg("spec").current_dir(bundle.path()));
        let config = bundle.path().join("config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        spec["process"]["args"] = command.into();
        spec["process"]["terminal"] = false.into();
        spec["process"]["cwd"] = shared.text().into();
        spec["process"]["user"] = json!({ "uid": USER, "gid": USER });
        spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "hard": 4096, "soft": 4096 }]);
        let mut mount = |path: &str, options: &[&str]| {
            let mounts = spec["mounts"].as_array_mut().unwrap();
            mounts.push(json!({ "destination": path, "source": path, "type": "bind", "options": options }));
        };
        mount("/usr", &["rbind", "ro"]);
        mount("/etc", &["rbind", "ro"]);
        mount(shared.text(), &["rbind", "rw"]);
        for (limit, value) in resources.as_object().into_iter().flatten() {
            spec["linux"]["resources"][limit] = value.clone();
        }
        fs::write(&config, spec.to_string()).unwrap();
        let mut server = Self { bundle, name: name.to_owned(), pid: 0 };
        let (pid, log) = (server.bundle.path().join("pid"), fs::File::create(shared.at("log")).unwrap());
        let mut run = server.runc();
        run.args(["run", "--detach", "--pid-file"])
            .arg(&pid)
            .arg("--bundle")
            .arg(server.bundle.path())
            .arg(name);
        run.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        assert!(run.status().unwrap().success(), "runc run {name}: {}", shared.log());
        server.pid = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        server
    }

    /// Records it by its name while `play` runs.
    pub fn record<T>(&self, arguments: &[&str], play: impl FnOnce() -> T) -> (Told, T) {
        let recording = Recording::start(&[&["--container", &self.name], arguments].concat());
        let result = play();
        let told = Told(recording.stop());
        if std::env::var_os("SHOW").is_some() {
            let capture = told.0.output().join("capture.profiler");
            let report = output(Command::new(profiler()).arg("report").arg(capture));
            let _ = writeln!(std::io::stdout(), "{report}");
        }
        (told, result)
    }

    fn runc(&self) -> Command {
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.bundle.path().join("state"));
        command
    }
}

impl Shared {
    /// What the server said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.runc().args(["delete", "--force", &self.name]).output();
        unmount_below(self.bundle.path());
    }
}

/// A recording, as someone reads it who was woken by an alarm: from the top.
pub struct Told(pub Recorded);

impl Told {
    /// The sentences on top.
    pub fn lines(&self) -> Vec<&str> {
        self.0.summary["findings"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
    }

    /// Asserts that one of the first three sentences has all of these parts, and that none before it has any of `wrong`.
    pub fn assert_leads(&self, parts: &[&str], wrong: &[&str]) {
        let lines = self.lines();
        let is = |line: &&str| parts.iter().all(|part| line.contains(part));
        let at = lines.iter().take(3).position(is);
        assert!(at.is_some(), "none of the first three says {parts:?}: {lines:#?}\n{}", self.0.stderr);
        let before = &lines[..at.unwrap_or(0)];
        let lie = before.iter().find(|line| wrong.iter().any(|wrong| line.contains(wrong)));
        assert!(lie.is_none(), "{lie:#?} is above what it was: {lines:#?}");
    }
}

/// A client that is spoken to line by line, and killed when it drops.
pub struct Client {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Client {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, input, answers }
    }

    /// Says something without waiting for an answer.
    pub fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Says something and waits until it answers with a line that has `answer`.
    pub fn ask(&mut self, line: &str, answer: &str) {
        self.say(line);
        self.wait(answer);
    }

    /// Waits for a line that has `answer`.
    pub fn wait(&self, answer: &str) {
        wait_for(answer, || self.answers.try_recv().ok().filter(|line| line.contains(answer)));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a test with this server can run; `programs` are in PATH or at an absolute path.
pub fn can_serve(test: &str, package: &str, programs: &[&Path]) -> bool {
    if !can_run(test, &["runc"]) {
        return false;
    }
    let there = programs.iter().all(|program| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        program.is_file() || std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
    });
    if !there {
        super::skipped(test, &format!("needs the package {package} (scripts/install-servers.sh {package})"));
    }
    there
}
