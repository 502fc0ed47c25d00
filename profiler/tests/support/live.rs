//! A recording and a workload, driven together; what the recording says, by name.
//!
//! In: `PROFILER_BIN` and `WORKLOAD_BIN` (what `cargo xtask test` built; else this build's profiler and
//! the workload where xtask puts it), and root. Out: `summary.json` and the workload's own JSON line.
//! Every recording that stops also shows that none of its programs and links is left in the kernel.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "each test file uses a part of it; a set-up that fails fails the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};

use serde_json::Value;

use super::lines::Lines;
use super::{Process, wait_for};

/// The profiler under test.
pub fn profiler() -> PathBuf {
    std::env::var_os("PROFILER_BIN").map_or_else(|| env!("CARGO_BIN_EXE_profiler").into(), PathBuf::from)
}

/// The program that knows the answer.
pub fn workload() -> PathBuf {
    let built = "../target/workload/x86_64-unknown-linux-gnu/release/workload";
    let path = std::env::var_os("WORKLOAD_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(built), PathBuf::from);
    assert!(path.is_file(), "{}: no workload; `cargo xtask test` builds it", path.display());
    path
}

/// `profiler record` while it runs; killed when it drops.
pub struct Recording {
    child: Process,
    dir: tempfile::TempDir,
    held: BpfIds,
}

/// What a recording left.
pub struct Recorded {
    /// `summary.json`.
    pub summary: Value,
    /// What it said on stdout.
    pub stdout: String,
    /// What it said on stderr.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
    /// The profiler's resident memory at its highest, as seen until its end, bytes.
    pub peak_rss: u64,
    dir: tempfile::TempDir,
}

impl Recording {
    /// Starts `profiler record ARGUMENTS -o DIR --json`; returns when everything is attached and the
    /// calls in flight are seeded.
    pub fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("prof-live-").tempdir().unwrap();
        let output = dir.path().join("out");
        let file = |name: &str| fs::File::create(dir.path().join(name)).unwrap();
        let mut command = Command::new(profiler());
        command.args(["record", "--json", "-o"]).arg(&output).args(arguments);
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        let mut recording = Self { child: Process(command.spawn().unwrap()), dir, held: BpfIds::default() };
        // The header is the first chunk, written when everything is attached, in one go.
        let partial = output.join("capture.partial");
        wait_for("the recording to be attached", || {
            let ended = recording.child.0.try_wait().unwrap();
            assert!(ended.is_none(), "profiler record ended: {}", recording.text("stderr"));
            let bytes = fs::read(&partial).ok()?;
            let magic = bytes.iter().position(|byte| *byte == b'\n')?;
            (bytes.len() > magic + 1).then_some(())
        });
        recording.held = BpfIds::held_by(recording.pid());
        assert!(!recording.held.programs.is_empty(), "an attached recording holds BPF programs");
        recording
    }

    /// The profiler's pid.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The output directory.
    pub fn output(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// The highest resident memory so far; 0 when it has ended.
    fn peak_rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10)
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join(name)).unwrap_or_default()).into_owned()
    }

    /// Ctrl-C; the recording must succeed and leave nothing attached.
    pub fn stop(self) -> Recorded {
        send(self.pid(), "INT");
        self.ended()
    }

    /// Waits for a recording that ends by itself (`-d`, `-- CMD`); it must succeed.
    pub fn ended(mut self) -> Recorded {
        let mut peak_rss = 0;
        let status = wait_for("the recording to end", || {
            peak_rss = peak_rss.max(self.peak_rss());
            self.child.0.try_wait().unwrap()
        });
        let (stdout, stderr) = (self.text("stdout"), self.text("stderr"));
        assert!(status.success(), "profiler record: {status}\n{stderr}");
        self.held.assert_gone();
        let summary = fs::read(self.output().join("summary.json")).unwrap();
        let summary = serde_json::from_slice(&summary).unwrap();
        Recorded { summary, stdout, stderr, status, peak_rss, dir: self.dir }
    }

    /// SIGKILL: what the kernel must clean up by itself. Returns the directory with what is left.
    pub fn kill(mut self) -> tempfile::TempDir {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
        self.held.assert_gone();
        self.dir
    }
}

impl Recorded {
    /// The output directory.
    pub fn output(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// A file of the output directory.
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.output().join(name)).unwrap()
    }

    /// Rows of a probe, of one process.
    pub fn rows(&self, probe: &str, pid: u32) -> Vec<&Value> {
        of_pid(&self.summary["probes"][probe]["rows"], pid)
    }

    /// The row of a process and call, if there is one.
    pub fn find_call(&self, pid: u32, syscall: &str) -> Option<&Value> {
        self.rows("syscall", pid).into_iter().find(|row| row["syscall"] == syscall)
    }

    /// The row of a process and call.
    pub fn call(&self, pid: u32, syscall: &str) -> &Value {
        self.find_call(pid, syscall).unwrap_or_else(|| {
            let rows = self.rows("syscall", pid);
            panic!("no row of {syscall} by {pid}, but {rows:#?}\n{}", self.stderr)
        })
    }

    /// Rows of slow calls of a process and call.
    pub fn slow(&self, pid: u32, syscall: &str) -> Vec<&Value> {
        let mut rows = of_pid(&self.summary["probes"]["syscall"]["slow"], pid);
        rows.retain(|row| row["syscall"] == syscall);
        rows
    }

    /// Calls in flight of one process at the end.
    pub fn in_flight(&self, pid: u32) -> Vec<&Value> {
        of_pid(&self.summary["in_flight"], pid)
    }

    /// Events of a loss or class of the ledger.
    pub fn counted(&self, class: &str) -> u64 {
        let lists = [&self.summary["losses"], &self.summary["classes"]];
        let mut entries = lists.iter().flat_map(|list| list.as_array().unwrap());
        let entry = entries.find(|entry| entry["class"] == class);
        entry.unwrap_or_else(|| panic!("no class {class} in the ledger"))["count"].as_u64().unwrap()
    }

    /// Losses that occurred, of the kinds that lose or invent calls, samples and waits. Without what the
    /// recursion guard skipped: that is counted for the whole machine, other people's work included; see
    /// [`Self::missed_by`].
    pub fn losses(&self) -> Vec<String> {
        let losses = self.summary["losses"].as_array().unwrap().iter();
        // What the guard skipped of other probes says nothing of the calls.
        let others = [
            "lock_recursion_miss",
            "sample_recursion_miss",
            "switch_missed",
            "wakeup_missed",
            "part_row_full",
        ];
        let losses = losses.filter(|loss| others.iter().all(|class| loss["class"] != *class));
        let occurred = losses.filter(|loss| {
            let skipped = loss["class"] == "recursion_miss";
            loss["count"] != 0
                && !skipped
                && ["lost", "dropped", "discarded"].iter().any(|kind| loss["kind"] == *kind)
        });
        occurred.map(|loss| format!("{} {}", loss["count"], loss["text"])).collect()
    }

    /// Exact means: counted + recorded as missed == truth. Misses are counted for all processes, so they
    /// bound what may lack; nothing may be too many.
    pub fn assert_counted(&self, what: &str, counted: u64, truth: u64) {
        let missed = self.missed_by("sys_enter") + self.missed_by("sys_exit");
        assert!(
            counted <= truth && truth - counted <= missed,
            "{what}: {counted} counted of {truth}, {missed} recorded as missed"
        );
    }

    /// Events that one program missed because it ran already on that CPU.
    pub fn missed_by(&self, program: &str) -> u64 {
        let programs = self.summary["cost"]["programs"].as_array().unwrap();
        let program = programs.iter().find(|cost| cost["program"] == program);
        program.map_or(0, |cost| cost["recursion_misses"].as_u64().unwrap())
    }
}

fn of_pid(rows: &Value, pid: u32) -> Vec<&Value> {
    rows.as_array().unwrap().iter().filter(|row| row["pid"] == pid).collect()
}

/// A number of a row.
pub fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {row:#}"))
}

/// The frames of a row's stack, the root first.
pub fn stack(row: &Value) -> Vec<&str> {
    row["stack"].as_array().unwrap().iter().map(|frame| frame.as_str().unwrap()).collect()
}

/// Asserts that frames with these names stand in the stack in this order, with others between them.
/// A name is a whole frame (`read()`, `ksys_read_[k]`) or, with `…` before it, the end of one.
pub fn assert_passes(frames: &[&str], names: &[&str]) {
    let mut rest = frames.iter();
    for name in names {
        let is = |frame: &&str| name.strip_prefix('…').map_or(frame == name, |end| frame.ends_with(end));
        assert!(rest.any(is), "{name} is not in its place in {frames:#?}");
    }
}

/// Asserts that two quantities differ by at most this share of the truth.
pub fn assert_within(what: &str, measured: u64, truth: u64, share: f64) {
    let off = (measured as f64 - truth as f64).abs();
    assert!(
        off <= truth as f64 * share,
        "{what}: measured {measured}, the truth is {truth}: {:.2} % off, {:.2} % allowed",
        100.0 * off / truth as f64,
        100.0 * share
    );
}

/// The position of a duration's histogram bucket among all buckets.
pub fn bucket(ns: u64) -> i64 {
    use profiler_common::histogram::{SLOTS, octave, slot};
    i64::from(octave(ns)) * SLOTS as i64 + slot(ns) as i64
}

/// A workload that waits for its start; killed when it drops.
pub struct Workload {
    child: Process,
    stdin: Option<ChildStdin>,
    lines: Lines,
}

impl Workload {
    /// Starts `workload --wait ARGUMENTS`; returns when it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(Command::new(workload()).arg("--wait").args(arguments))
    }

    /// Starts a command that runs a waiting workload; returns when it is ready.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, lines) = (child.stdin.take(), Lines::of(child.stdout.take().unwrap()));
        let mut workload = Self { child: Process(child), stdin, lines };
        assert_eq!(workload.line(), "ready", "{command:?}");
        workload
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Lets it begin, or, when it lingers, end.
    pub fn go(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        self.lines.take().unwrap_or_default()
    }

    /// The next line it prints, as JSON.
    pub fn report(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("workload said {line:?}: {error}"))
    }

    /// Lets it run to its end; what it knows.
    pub fn finish(mut self) -> Value {
        self.go();
        let report = self.report();
        drop(self.stdin.take());
        while self.lines.take().is_some() {}
        let status = wait_for("the workload to end", || self.child.0.try_wait().unwrap());
        assert!(status.success(), "workload: {status}");
        report
    }
}

/// Sends a signal by name to one process.
pub fn send(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{signal} {pid}");
}

/// BPF programs and links by their kernel ids.
#[derive(Debug, Default)]
struct BpfIds {
    programs: BTreeSet<u32>,
    links: BTreeSet<u32>,
}

impl BpfIds {
    /// Those a process holds descriptors of.
    fn held_by(pid: u32) -> Self {
        let mut held = Self::default();
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let field = |name: &str| {
                text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok())
            };
            held.programs.extend(field("prog_id:"));
            held.links.extend(field("link_id:"));
        }
        held
    }

    /// All there are in the kernel.
    fn loaded() -> Self {
        Self {
            programs: aya::programs::loaded_programs()
                .filter_map(|program| Some(program.ok()?.id()))
                .collect(),
            links: aya::programs::loaded_links().filter_map(|link| Some(link.ok()?.id())).collect(),
        }
    }

    /// The kernel frees programs a grace period after their last user: a moment is granted.
    fn assert_gone(&self) {
        wait_for("the recording's programs and links to be gone", || {
            let loaded = Self::loaded();
            let left = self.programs.intersection(&loaded.programs).next().is_some()
                || self.links.intersection(&loaded.links).next().is_some();
            (!left).then_some(())
        });
    }
}
