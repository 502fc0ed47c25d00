//! A recording and a workload, driven together; what the recording says, by name.
//!
//! In: `PROFILER_BIN` and `WORKLOAD_BIN` (what `cargo xtask test` built; else this build's profiler and the
//! workload where xtask puts it), and root. Out: `summary.json` and the workload's own JSON line. When a
//! recording stops, it is also checked that none of its programs and links is left in the kernel.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "each test file uses a part of it; a set-up that fails fails the test"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use judge::summary;
use serde_json::Value;

/// The profiler under test.
pub fn profiler() -> PathBuf {
    std::env::var_os("PROFILER_BIN").map_or_else(|| env!("CARGO_BIN_EXE_profiler").into(), PathBuf::from)
}

/// The program that knows the answer.
pub fn workload() -> PathBuf {
    built("WORKLOAD_BIN", "workload")
}

/// The profiler whose kernel side ignores switches on purpose when it is told to.
fn profiler_lab() -> PathBuf {
    built("PROFILER_LAB_BIN", "profiler-lab")
}

fn built(variable: &str, name: &str) -> PathBuf {
    let directory = "../target/static/x86_64-unknown-linux-gnu/release";
    let path = std::env::var_os(variable)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(directory).join(name), PathBuf::from);
    assert!(path.is_file(), "{}: no {name}; `cargo xtask test` builds it", path.display());
    path
}

/// `profiler record` while it runs, in a directory of its own; killed when it drops.
pub struct Recording {
    recording: judge::recording::Recording,
    dir: tempfile::TempDir,
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
        let ignores = arguments.iter().any(|argument| argument.starts_with("--ignore-"));
        let program = if ignores { profiler_lab() } else { profiler() };
        let recording = judge::recording::Recording::start(&program, arguments, dir.path());
        Self { recording: told(recording), dir }
    }

    /// The profiler's pid.
    pub fn pid(&self) -> u32 {
        self.recording.pid()
    }

    /// The output directory.
    pub fn output(&self) -> PathBuf {
        self.recording.output()
    }

    /// Ctrl-C; the recording must succeed and leave nothing attached.
    pub fn stop(self) -> Recorded {
        send(self.pid(), "INT");
        self.ended()
    }

    /// Waits for a recording that ends by itself (`-d`, `-- CMD`); it must succeed.
    pub fn ended(self) -> Recorded {
        let ended = told(self.recording.ended());
        let text = |name: &str| {
            String::from_utf8_lossy(&fs::read(self.dir.path().join(name)).unwrap_or_default()).into_owned()
        };
        Recorded {
            summary: told(judge::recording::summary(&self.dir.path().join("out"))),
            stdout: text("stdout"),
            stderr: text("stderr"),
            status: ended.status,
            peak_rss: ended.peak_rss,
            dir: self.dir,
        }
    }

    /// Waits for a recording whose results nobody waited for: it succeeds, says so, or a third signal ended it once its capture was
    /// whole (128 + SIGINT or SIGTERM). Returns the directory with what is left.
    pub fn ended_impatiently(self) -> tempfile::TempDir {
        if let Err(error) = self.recording.ended() {
            let text = format!("{error:#}");
            let told =
                ["ended by a second Ctrl-C before all results were written", "status: 130", "status: 143"];
            assert!(told.iter().any(|told| text.contains(told)), "{text}");
        }
        self.dir
    }

    /// SIGKILL: what the kernel must clean up by itself. Returns the directory with what is left.
    pub fn kill(self) -> tempfile::TempDir {
        told(told(self.recording.kill()).await_gone());
        self.dir
    }
}

/// What must work, with the whole story where it did not.
pub fn told<T>(result: anyhow::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error:#}"))
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
        summary::rows(&self.summary, probe, pid)
    }

    /// The row of a process and call, if there is one.
    pub fn find_call(&self, pid: u32, syscall: &str) -> Option<&Value> {
        summary::call(&self.summary, pid, syscall).ok()
    }

    /// The row of a process and call.
    pub fn call(&self, pid: u32, syscall: &str) -> &Value {
        let row = summary::call(&self.summary, pid, syscall);
        row.unwrap_or_else(|error| panic!("{error}\n{}", self.stderr))
    }

    /// Rows of slow calls of a process and call.
    pub fn slow(&self, pid: u32, syscall: &str) -> Vec<&Value> {
        let mut rows = summary::of_pid(&self.summary["probes"]["syscall"]["slow"], pid);
        rows.retain(|row| row["syscall"] == syscall);
        rows
    }

    /// Those of them that have a kernel stack. A thread that came to its CPU behind one that this kernel shows to nobody is made
    /// up for, without a stack: more have none only if something is wrong.
    pub fn slow_seen(&self, pid: u32, syscall: &str) -> Vec<&Value> {
        let is_blind =
            |row: &&Value| stack(row).last().is_some_and(|end| end.starts_with("[no kernel stack"));
        let (blind, seen): (Vec<_>, Vec<_>) = self.slow(pid, syscall).into_iter().partition(is_blind);
        let blind: u64 = blind.into_iter().map(|row| number(row, "count")).sum();
        let recovered = self.counted("switch_recovered");
        assert!(blind <= recovered, "{blind} calls have no kernel stack, {recovered} switches went unseen");
        seen
    }

    /// Calls in flight of one process at the end.
    pub fn in_flight(&self, pid: u32) -> Vec<&Value> {
        summary::of_pid(&self.summary["in_flight"], pid)
    }

    /// Events of a loss or class of the ledger.
    pub fn counted(&self, class: &str) -> u64 {
        told(summary::counted(&self.summary, class))
    }

    /// Losses that occurred, of the kinds that lose or invent calls, samples and waits. Without what the
    /// recursion guard skipped: that is counted for the whole machine, other people's work included; see
    /// [`Self::missed_by`].
    pub fn losses(&self) -> Vec<String> {
        let losses = self.summary["losses"].as_array().unwrap().iter();
        // What the guard skipped of other probes says nothing of the calls.
        let others = [
            "lock_recursion_miss",
            "lock_unmatched_end",
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

    /// Exact means: counted + recorded as missed == truth.
    pub fn assert_counted(&self, what: &str, counted: u64, truth: u64) {
        told(summary::exact(what, counted, truth, self.missed_by("sys_enter") + self.missed_by("sys_exit")));
    }

    /// Events that one program missed because it ran already on that CPU.
    pub fn missed_by(&self, program: &str) -> u64 {
        summary::missed(&self.summary, &[program])
    }
}

/// A number of a row.
pub fn number(row: &Value, field: &str) -> u64 {
    told(summary::number(row, field))
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
pub struct Workload(judge::workload::Workload);

impl Workload {
    /// Starts `workload --wait ARGUMENTS`; returns when it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(Command::new(workload()).arg("--wait").args(arguments))
    }

    /// Starts a command that runs a waiting workload; returns when it is ready.
    pub fn spawn(command: &mut Command) -> Self {
        Self(told(judge::workload::Workload::spawn(command)))
    }

    /// On one CPU only, that of this place among those we may run on; it lingers.
    pub fn pinned(place: usize, arguments: &[&str]) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", &super::cpus()[place].to_string()]).arg(workload());
        Self::spawn(command.args(["--wait", "--linger"]).args(arguments))
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// How long one of its calls takes here, where they are sized by time.
    pub fn unit_ns(&self) -> u64 {
        self.0.unit_ns().expect("its calls are not sized by time")
    }

    /// `--slow` with what makes each of those calls slow; nothing where they are not sized by time.
    pub fn slow(&self) -> Vec<String> {
        self.0.slow().map_or_else(Vec::new, |slow| vec!["--slow".to_owned(), slow])
    }

    /// Lets it begin, or, when it lingers, end.
    pub fn go(&mut self) {
        told(self.0.go());
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        told(self.0.line())
    }

    /// The next line it prints, as JSON.
    pub fn report(&mut self) -> Value {
        told(self.0.truth())
    }

    /// Lets it run to its end; what it knows.
    pub fn finish(self) -> Value {
        told(self.0.finish())
    }
}

/// Sends a signal by name to one process.
pub fn send(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{signal} {pid}");
}
