//! One measured run: a workload that knows the answer, the profiler, and bpftrace as a second witness.
//!
//! In: `WORKLOAD_BIN` and `PROFILER_BIN`, as `cargo xtask test` sets them. Out: what each of them says.
//! No program of the profiler is left attached when [`Recording::stop`] returns: it looks.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::support::{can_run, skipped, wait_for};

/// Ticks of `/proc/PID/stat` per second, as every x86-64 kernel tells user space.
pub const TICKS: f64 = 100.0;

/// True when `test` can run here; else says loudly why not. `tools` are looked up in PATH.
pub fn ready(test: &str, tools: &[&str]) -> bool {
    if !can_run(test, tools) {
        return false;
    }
    let missing = ["PROFILER_BIN", "WORKLOAD_BIN"].into_iter().find(|name| std::env::var_os(name).is_none());
    if let Some(name) = missing {
        skipped(test, &format!("needs {name}: run `cargo xtask test`"));
    }
    missing.is_none()
}

fn binary(variable: &str) -> PathBuf {
    std::env::var_os(variable).unwrap().into()
}

/// A number of a JSON object.
pub fn number(object: &Value, name: &str) -> u64 {
    object[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {object}"))
}

/// A text of a JSON object.
pub fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("no text {name} in {object}"))
}

/// A workload that waits for its start.
pub struct Workload {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Workload {
    /// Starts it; it does nothing before [`Self::go`], and stays after its result until it drops.
    pub fn start(words: &[&str]) -> Self {
        let mut command = Command::new(binary("WORKLOAD_BIN"));
        command.args(["--wait", "--linger"]).args(words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut workload = Self { child, input, output: BufReader::new(output) };
        assert_eq!(workload.line(), "ready");
        workload
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go.
    pub fn go(&mut self) {
        self.input.write_all(b"\n").unwrap();
    }

    /// Waits for its result.
    pub fn result(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// CPU time that the kernel accounts to it, seconds.
    pub fn cpu_s(&self) -> f64 {
        cpu_s(self.pid())
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// utime + stime of a process, seconds.
pub fn cpu_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / TICKS
}

/// `profiler record`, attached.
pub struct Recording {
    child: Child,
    dir: TempDir,
    programs: BTreeSet<u32>,
}

/// What it wrote.
pub struct Recorded {
    dir: TempDir,
    /// `summary.json`.
    pub summary: Value,
    /// The profiler's own pid.
    pub pid: u32,
    /// From SIGINT to its exit.
    pub stopping: Duration,
    /// CPU time it took from SIGINT to its exit, seconds.
    pub stopping_cpu_s: f64,
}

impl Recording {
    /// Starts it and waits until it is attached: its capture's header is written after that.
    pub fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("prof-live-").tempdir().unwrap();
        let mut command = Command::new(binary("PROFILER_BIN"));
        command.arg("record").args(arguments).arg("-o").arg(dir.path().join("out")).arg("--quiet");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut recording = Self { child, dir, programs: BTreeSet::new() };
        let out = recording.out();
        wait_for("the capture's header", || {
            let ended = recording.child.try_wait().unwrap();
            assert!(ended.is_none(), "profiler record ended: {ended:?}");
            profiler::capture::read(&out).ok()
        });
        recording.programs = programs_of(recording.child.id());
        assert!(!recording.programs.is_empty(), "the profiler holds no program");
        recording
    }

    /// The profiler's own pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// Ends it as Ctrl-C does, and sees that nothing of it is left attached.
    pub fn stop(self) -> Recorded {
        let Self { mut child, dir, programs } = self;
        let before_s = cpu_s(child.id());
        let begin = std::time::Instant::now();
        interrupt(child.id());
        let (status, cpu_s) = wait_with_cpu(&mut child);
        let stopping = begin.elapsed();
        assert_eq!(status, 0, "profiler record did not end well");
        wait_for("the programs to be gone", || {
            let left: BTreeSet<u32> =
                aya::programs::loaded_programs().flatten().map(|program| program.id()).collect();
            left.is_disjoint(&programs).then_some(())
        });
        let summary = fs::read(dir.path().join("out/summary.json")).unwrap();
        let summary = serde_json::from_slice(&summary).unwrap();
        Recorded { dir, summary, pid: child.id(), stopping, stopping_cpu_s: cpu_s - before_s }
    }
}

/// Waits for a child: (exit code, its CPU time and its children's, seconds).
fn wait_with_cpu(child: &mut Child) -> (i32, f64) {
    // SAFETY: plain integers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: our own child, not yet waited for; both records outlive the call.
    let waited = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, child.id() as i32);
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 };
    (code, seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// The BPF programs that a process holds, by the kernel's own list of its descriptors.
fn programs_of(pid: u32) -> BTreeSet<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok()))
        .collect()
}

fn interrupt(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::INT).unwrap();
}

impl Recorded {
    /// The directory with everything.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// The rows of a probe.
    pub fn rows(&self, probe: &str) -> &[Value] {
        self.summary["probes"][probe]["rows"].as_array().unwrap()
    }

    /// How often a loss or class of the ledger occurred.
    pub fn ledger(&self, class: &str) -> u64 {
        let all = ["losses", "classes"].into_iter().flat_map(|list| self.summary[list].as_array().unwrap());
        all.filter(|entry| entry["class"] == class).map(|entry| number(entry, "count")).sum()
    }

    /// The lines of a folded file: (frames from the root on, weight).
    pub fn folded(&self, probe: &str) -> Vec<(Vec<String>, u64)> {
        let folded = fs::read_to_string(self.dir().join(format!("{probe}.folded"))).unwrap();
        let line = |line: &str| {
            let (path, weight) = line.rsplit_once(' ').unwrap();
            (path.split(';').map(str::to_owned).collect(), weight.parse().unwrap())
        };
        folded.lines().map(line).collect()
    }

    /// Mean run of a program in the windows in which the kernel timed it, ns.
    pub fn program_ns(&self, program: &str) -> Option<f64> {
        let programs = self.summary["cost"]["programs"].as_array().unwrap();
        let cost = programs.iter().find(|cost| cost["program"] == program)?;
        let (runs, run_ns) = (number(cost, "runs"), number(cost, "run_ns"));
        (runs > 0).then(|| run_ns as f64 / runs as f64)
    }
}

/// bpftrace over the contention tracepoints of one process, in a mount namespace of its own.
pub struct Witness {
    child: Child,
    output: BufReader<ChildStdout>,
    /// `(contention flags of the first phase) → waits`.
    seen: BTreeMap<u32, Waits>,
}

/// Waits that somebody counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    pub count: u64,
    pub total_ns: u64,
}

/// As design has it: the first begin on a lock opens the wait, later ones change its phase, locks nest. The
/// clock is read first thing, so that it is read equally late at both ends.
const CONTENTION: &str = r#"
tracepoint:lock:contention_begin {
    $now = nsecs;
    if (pid == $1 && @begin[tid, args->lock_addr] == 0) {
        @begin[tid, args->lock_addr] = $now;
        @kind[tid, args->lock_addr] = args->flags;
    }
}
tracepoint:lock:contention_end {
    $now = nsecs;
    if (pid == $1) {
        $begin = @begin[tid, args->lock_addr];
        if ($begin) {
            $kind = @kind[tid, args->lock_addr];
            @total[$kind] = sum($now - $begin);
            @count[$kind] = count();
            delete(@begin[tid, args->lock_addr]);
            delete(@kind[tid, args->lock_addr]);
        }
    }
}
interval:ms:20 { if (!@ready) { printf("attached\n"); @ready = 1; } }
END { clear(@begin); clear(@kind); clear(@ready); }
"#;

impl Witness {
    /// Starts it after the profiler, so that its clock is read next to the profiler's; returns when it is
    /// attached (the timer is attached last).
    pub fn start(pid: u32, script_dir: &Path) -> Self {
        let script = script_dir.join("contention.bt");
        fs::write(&script, CONTENTION).unwrap();
        let mut command = Command::new("unshare");
        // bpftrace looks for the tracepoints below debugfs, which nobody may have mounted.
        let mount = "mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null; exec bpftrace \"$@\"";
        command.args(["-m", "--propagation", "private", "sh", "-c", mount, "sh", "-f", "json", "-B", "line"]);
        command.arg(&script).arg(pid.to_string());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut witness = Self { child, output, seen: BTreeMap::new() };
        while !witness.take_line().expect("bpftrace ended before it attached").contains("attached\\n") {}
        witness
    }

    fn take_line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.output.read_line(&mut line).unwrap() > 0).then_some(line)
    }

    /// Ends it; what it saw, by flags.
    pub fn stop(mut self) -> BTreeMap<u32, Waits> {
        interrupt(self.child.id());
        while let Some(line) = self.take_line() {
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            for (map, entries) in line["data"].as_object().into_iter().flatten() {
                for (flags, value) in entries.as_object().into_iter().flatten() {
                    let waits = self.seen.entry(flags.parse().unwrap()).or_default();
                    match map.as_str() {
                        "@count" => waits.count = value.as_u64().unwrap(),
                        "@total" => waits.total_ns = value.as_u64().unwrap(),
                        other => panic!("bpftrace printed {other}"),
                    }
                }
            }
        }
        std::mem::take(&mut self.seen)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
