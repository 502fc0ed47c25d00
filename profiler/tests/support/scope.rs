//! A recording with a neighbour that must not be in it.
//!
//! In: what `live` drives. Out: shells that run what a
//! test tells them while a recording runs, a noisy neighbour running the same program, and the summary.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses a part of it; a set-up that fails fails the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::live::{self, Recorded};
use super::{Process, can_run, output, wait_for};

/// Every name the neighbour's processes have begins so.
pub const NOISY: &str = "noisy";

/// A directory with the workload under several names, and shells that obey.
pub struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    /// `None` (and a SKIPPED line) where nothing can be recorded.
    pub fn set(test: &str) -> Option<Self> {
        if !can_run(test, &["sh", "mkfifo"]) {
            return None;
        }
        let dir = tempfile::Builder::new().prefix("prof-scope-").tempdir().unwrap();
        fs::copy(live::workload(), dir.path().join("workload")).unwrap();
        Some(Self { dir })
    }

    /// Where the workload and the shells' pipes are; mount it into containers at the same place.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The workload under a name of its own, which becomes its command name.
    pub fn program(&self, name: &str) -> String {
        let path = self.dir().join(name);
        if !path.exists() {
            fs::hard_link(self.dir().join("workload"), &path).unwrap();
        }
        path.to_str().unwrap().to_owned()
    }

    /// The text of a shell that runs each line it is sent; start it wherever it shall live.
    pub fn shell(&self, name: &str) -> Shell {
        let at = |end: &str| self.dir().join(format!("{name}.{end}"));
        let (lines, answers) = (at("in"), at("out"));
        assert!(Command::new("mkfifo").arg(&lines).status().unwrap().success());
        fs::write(&answers, "").unwrap();
        // Both ends are open here, so neither side blocks in open or sees an end.
        let pipe = fs::OpenOptions::new().read(true).write(true).open(&lines).unwrap();
        let script = format!(
            "exec < {} >> {} 2>&1; echo up; while read -r line; do eval \"$line\"; echo done; done",
            lines.display(),
            answers.display()
        );
        Shell { script, pipe, answers, answered: 0 }
    }

    /// Starts the neighbour: the same program with all it can do, again and again.
    pub fn neighbour(&self) -> Neighbour {
        let program = self.program(NOISY);
        let shell = self.dir().join(format!("{NOISY}-sh"));
        if !shell.exists() {
            symlink("/bin/sh", &shell).unwrap();
        }
        let log = self.dir().join(format!("{NOISY}.log"));
        let out = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let script = format!(
            "while :; do {program} spawn 5; {program} getppid-loop 1000 2; {program} dup-close 2 50; \
             {program} stalled-pipe 2 10; {program} burn-70-30 50; {program} pipe-reads 2 15; done"
        );
        let mut command = Command::new(shell);
        command.args(["-c", &script]).stdin(Stdio::null()).stdout(out).process_group(0);
        let neighbour = Neighbour { child: command.spawn().unwrap(), log };
        neighbour.make_noise();
        neighbour
    }
}

/// A shell that runs what it is told; see [`Stage::shell`].
pub struct Shell {
    /// What `sh -c` shall run.
    pub script: String,
    pipe: fs::File,
    answers: PathBuf,
    answered: usize,
}

impl Shell {
    /// Starts it as a process of this host.
    pub fn start(&mut self) -> Process {
        let process =
            Process(Command::new("sh").args(["-c", &self.script]).stdin(Stdio::null()).spawn().unwrap());
        self.is_up();
        process
    }

    /// Waits until it reads lines.
    pub fn is_up(&self) {
        wait_for("a shell", || fs::read_to_string(&self.answers).ok()?.starts_with("up\n").then_some(()));
    }

    /// Has it run a line, and waits for its end; what the line printed.
    pub fn run(&mut self, line: &str) -> String {
        self.begin(line);
        self.end()
    }

    /// Has it run a line.
    pub fn begin(&mut self, line: &str) {
        writeln!(self.pipe, "{line}").unwrap();
    }

    /// Waits for the end of a line that was begun.
    pub fn end(&mut self) -> String {
        let wanted = self.answered + 1;
        let text = wait_for("a shell's line", || {
            let text = fs::read_to_string(&self.answers).ok()?;
            (text.lines().filter(|line| *line == "done").count() >= wanted).then_some(text)
        });
        self.answered = wanted;
        text.split("done\n").nth(wanted - 1).unwrap().trim_start_matches("up\n").to_owned()
    }
}

/// Runs until dropped.
pub struct Neighbour {
    child: Child,
    log: PathBuf,
}

impl Neighbour {
    /// Waits until it has done one more of everything.
    pub fn make_noise(&self) {
        let lines = || fs::read_to_string(&self.log).map_or(0, |text| text.lines().count());
        let before = lines();
        wait_for("the neighbour's noise", || (lines() >= before + 7).then_some(()));
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status();
        let _ = self.child.wait();
    }
}

/// What a recording found.
pub struct Summary {
    /// `summary.json`.
    pub json: Value,
    /// What was printed.
    pub text: String,
}

impl Summary {
    /// What a recording left, and what is printed of it.
    pub fn of(recorded: &Recorded) -> Self {
        Self::read(&recorded.output())
    }

    /// What lies in an output directory.
    pub fn read(directory: &Path) -> Self {
        let json = live::told(judge::recording::summary(directory));
        let mut report = Command::new(live::profiler());
        let text = output(report.arg("report").arg(directory.join("capture.profiler")));
        Self { json, text }
    }

    /// All rows of a probe.
    pub fn rows(&self, probe: &str) -> &[Value] {
        self.json["probes"][probe]["rows"].as_array().unwrap()
    }

    /// Everything that names a process, of all probes.
    pub fn everything(&self) -> Vec<&Value> {
        let mut all: Vec<&Value> =
            ["syscall", "lock", "cpu"].iter().flat_map(|probe| self.rows(probe)).collect();
        all.extend(self.json["probes"]["syscall"]["slow"].as_array().unwrap());
        all.extend(self.json["in_flight"].as_array().unwrap());
        all
    }

    /// Rows of a call made under a command name.
    pub fn calls(&self, comm: &str, syscall: &str) -> Vec<&Value> {
        let is = |row: &&Value| row["comm"] == comm && row["syscall"] == syscall;
        self.rows("syscall").iter().filter(is).collect()
    }

    /// How often that call was made, with what the kernel side says it lost of calls (must be nothing).
    pub fn count(&self, comm: &str, syscall: &str) -> u64 {
        self.calls(comm, syscall).iter().map(|row| row["count"].as_u64().unwrap()).sum()
    }

    /// Pids that have any row, but for interrupts.
    pub fn pids(&self) -> BTreeSet<u64> {
        let pids = self.everything().into_iter().map(|row| row["pid"].as_u64().unwrap());
        pids.filter(|pid| *pid != 0).collect()
    }

    /// Command names that have any row.
    pub fn comms(&self) -> BTreeSet<&str> {
        self.everything().into_iter().map(|row| row["comm"].as_str().unwrap()).collect()
    }

    /// Nothing is in the recording that was not made, and nothing is missing but what the kernel's recursion
    /// guard skipped, which is counted.
    pub fn assert_exact(&self, what: &str, found: u64, truth: u64) {
        let misses = self.lost("recursion_miss");
        assert!(found <= truth && truth <= found + misses, "{what}: {found}, not {truth} ({misses} skipped)");
    }

    /// [`Self::assert_exact`] for the calls made under a command name.
    pub fn assert_calls(&self, comm: &str, syscall: &str, truth: u64) {
        self.assert_exact(&format!("{syscall} by {comm}"), self.count(comm, syscall), truth);
    }

    /// A loss by its class.
    fn lost(&self, class: &str) -> u64 {
        let losses = self.json["losses"].as_array().unwrap().iter();
        losses.filter(|loss| loss["class"] == class).map(|loss| loss["count"].as_u64().unwrap()).sum()
    }

    /// Calls of one name that those processes made which also made another: `nanosleep` of those with
    /// `getppid` are a `spawn`'s children, not what a process did before it became the workload.
    pub fn count_beside(&self, comm: &str, syscall: &str, beside: &str) -> u64 {
        let pids: BTreeSet<u64> =
            self.calls(comm, beside).iter().map(|row| row["pid"].as_u64().unwrap()).collect();
        let rows = self.calls(comm, syscall).into_iter();
        let rows = rows.filter(|row| pids.contains(&row["pid"].as_u64().unwrap()));
        rows.map(|row| row["count"].as_u64().unwrap()).sum()
    }

    /// Nothing of the neighbour's, nothing without a name, nothing lost but what is counted elsewhere.
    pub fn assert_clean(&self) {
        let comms = self.comms();
        let strange = comms
            .iter()
            .find(|comm| comm.starts_with(NOISY) || comm.is_empty() || comm.starts_with("unknown"));
        assert!(strange.is_none(), "{strange:?} is in the recording: {comms:?}");
        let losses = self.json["losses"].as_array().unwrap().iter();
        let lost: Vec<&Value> = losses
            .filter(|loss| ["lost", "dropped", "discarded"].contains(&loss["kind"].as_str().unwrap()))
            .filter(|loss| loss["count"] != 0)
            // Checked with every count; and ends of waits that began before attach.
            .filter(|loss| !loss["class"].as_str().unwrap().ends_with("recursion_miss"))
            .filter(|loss| loss["class"] != "lock_unmatched_end")
            // Slices of a call's time, not calls: they show as unaccounted.
            .filter(|loss| loss["class"] != "switch_missed" && loss["class"] != "wakeup_missed")
            .collect();
        assert!(lost.is_empty(), "{lost:?}");
    }

    /// Everything is of that container.
    pub fn assert_container(&self, name: &str) {
        let strange = self.everything().into_iter().filter(|row| row["container"] != name && row["pid"] != 0);
        let strange: BTreeSet<String> =
            strange.map(|row| format!("{} {} {}", row["pid"], row["comm"], row["container"])).collect();
        assert!(strange.is_empty(), "not of {name}: {strange:?}");
    }

    /// The way the target is told apart, as the summary and the printed header say.
    pub fn assert_way(&self, label: &str, way: &str) {
        let target = &self.json["target"];
        assert!(target["label"].as_str().unwrap().contains(label), "{target}");
        assert!(target["way"].as_str().unwrap().contains(way), "{target}");
        let told = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(label), "the header does not name {label}: {}", self.text);
        let way = target["way"].as_str().unwrap();
        assert!(told.contains(way), "the header does not say '{way}': {}", self.text);
    }
}
