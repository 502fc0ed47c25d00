//! Where a recording is written: a disk that fills, a directory that somebody planted or swaps, a profiler that is
//! stopped for a while. Never a false whole, never a file elsewhere.
//!
//! In: root; a small disk in a mount namespace of its own. Out: what is left on the disk, and what is said of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up fails")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::live::{Recording, Workload, number, profiler, send};
use crate::support::session::{NOBODY, Stage, Told};
use crate::support::{Process, can_run, wait_for};
use serde_json::Value;

/// A disk of 200 kB that only a shell in a mount namespace of its own sees; gone with the shell.
struct SmallDisk {
    shell: Process,
    stage: Stage,
}

impl SmallDisk {
    fn mount() -> Self {
        let stage = Stage::new();
        fs::create_dir(stage.at("disk")).unwrap();
        let script = "mount -t tmpfs -o size=200k none \"$0\" && touch \"$0/mounted\" && exec sleep 600";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(stage.at("disk"));
        let disk = Self { shell: Process(command.stdin(Stdio::null()).spawn().unwrap()), stage };
        wait_for("the disk to be mounted", || disk.at("mounted").exists().then_some(()));
        disk
    }

    /// A path on the disk, as this test reaches it.
    fn at(&self, name: &str) -> PathBuf {
        let inside = self.stage.at("disk");
        let root = PathBuf::from(format!("/proc/{}/root", self.shell.pid()));
        root.join(inside.strip_prefix("/").unwrap()).join(name)
    }

    /// The profiler, in the disk's directory.
    fn profiler(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.shell.pid()));
        command.args(["sh", "-c", "cd \"$0\" && exec \"$@\""]).arg(self.stage.at("disk"));
        command.arg(profiler()).args(arguments).stdin(Stdio::null());
        command
    }

    fn files(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(name)).unwrap().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_disk_that_fills_while_recording_makes_no_false_whole() {
    if !can_run("a_disk_that_fills_while_recording_makes_no_false_whole", &["unshare", "nsenter"]) {
        return;
    }
    let disk = SmallDisk::mount();
    let mut workload = Workload::start(&["--linger", "many-stacks", "1000000", "12", "200"]);
    let pid = workload.pid().to_string();
    let file = |name: &str| fs::File::create(disk.stage.at(name)).unwrap();
    let mut record =
        disk.profiler(&["record", "--json", "-o", "out", "--probe", "cpu", "-F", "999", "--pid", &pid]);
    let mut record = Process(record.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap());
    let text = |name: &str| fs::read_to_string(disk.stage.at(name)).unwrap();
    let length = || fs::metadata(disk.at("out/capture.partial")).map_or(0, |partial| partial.len());
    let header = wait_for("the header", || Some(length()).filter(|length| *length > 100));
    workload.go();
    wait_for("an interval", || (length() > header).then_some(()));
    // Somebody else takes what is left.
    let filler = fs::File::create(disk.at("filler")).unwrap();
    let mut chunk = 4096;
    while chunk > 0 {
        match std::io::Write::write(&mut &filler, &vec![1; chunk]) {
            Ok(written) if written > 0 => {}
            _ => chunk /= 2,
        }
    }
    wait_for("the disk to be full", || text("stderr").contains("nothing could be written").then_some(()));
    // Room again: what comes now must not be appended all the same.
    let cut = length();
    fs::remove_file(disk.at("filler")).unwrap();
    send(record.pid(), "INT");
    let status = wait_for("the recording to end", || record.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(1), "{}", text("stderr"));
    assert!(text("stderr").contains("No space left"), "{}", text("stderr"));
    let told: Value = serde_json::from_str(&text("stdout")).unwrap();
    let tail = told["missing_tail"].as_str().unwrap();
    assert!(tail.contains("from second") && tail.contains("capture stays capture.partial"), "{tail}");
    assert!(!told["probes"]["cpu"]["rows"].as_array().unwrap().is_empty(), "no tables");
    let files = disk.files("out");
    assert!(
        files.contains(&"capture.partial".into()) && !files.contains(&"capture.profiler".into()),
        "{files:?}"
    );
    assert_eq!(length(), cut);
    let report = Told::new(&disk.profiler(&["report", "out", "--format", "json"]).output().unwrap());
    let replay: Value = serde_json::from_str(&report.assert_done().stdout).unwrap();
    assert!(replay["missing_tail"].as_str().unwrap().contains("was not finished"), "{replay:#}");
    assert!(number(&replay, "duration_ns") < number(&told, "duration_ns"));
    disk.stage.assert_detached();
}

#[test]
fn a_recording_ends_before_its_disk_is_full() {
    if !can_run("a_recording_ends_before_its_disk_is_full", &["unshare", "nsenter"]) {
        return;
    }
    let disk = SmallDisk::mount();
    let sleeper = disk.shell.pid().to_string();
    let mut record = disk.profiler(&["record", "--json", "-o", "out", "--probe", "cpu", "--pid", &sleeper]);
    let file = |name: &str| fs::File::create(disk.stage.at(name)).unwrap();
    let mut record = Process(record.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap());
    let text = |name: &str| fs::read_to_string(disk.stage.at(name)).unwrap();
    let length = || fs::metadata(disk.at("out/capture.partial")).map_or(0, |partial| partial.len());
    wait_for("the header", || (length() > 100).then_some(()));
    // Two pages are left, and a twentieth of the disk is spared.
    let room = || rustix::fs::statvfs(disk.at(".")).map_or(0, |told| told.f_bavail * told.f_frsize);
    fs::write(disk.at("more"), vec![1; usize::try_from(room()).unwrap().saturating_sub(8_192)]).unwrap();
    let status = wait_for("the recording to end", || record.0.try_wait().unwrap());
    let told = text("stderr");
    assert!(
        told.contains("Recording ended at second") && told.contains("its disk has only"),
        "{status}: {told}"
    );
    assert!(disk.files("out").contains(&"capture.profiler".into()), "the capture is whole: {told}");
    // What comes after the capture may find no room, and says so.
    assert!(status.success() || told.contains("the capture is whole"), "{status}: {told}");
    disk.stage.assert_detached();
}

#[test]
fn a_picture_that_cannot_be_written_costs_no_tables() {
    if !can_run("a_picture_that_cannot_be_written_costs_no_tables", &["setpriv"]) {
        return;
    }
    let stage = Stage::new();
    fs::create_dir(stage.at("out")).unwrap();
    fs::create_dir(stage.at("out/cpu.svg")).unwrap();
    let told = stage.run(&["record", "-d", "1s", "-o", "out", "--probe", "cpu"]);
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    assert!(told.stdout.contains("CPU: samples"), "{}", told.stdout);
    for part in ["cpu.svg", "the capture is whole", "profiler report out"] {
        assert!(told.stderr.contains(part), "{}", told.stderr);
    }
    assert!(stage.files("out").contains(&"capture.profiler".to_owned()));
    stage.run(&["report", "out"]).assert_done();
    // Who may not look into a directory does not know what it holds.
    fs::set_permissions(stage.at("out"), fs::Permissions::from_mode(0o700)).unwrap();
    let told = Told::new(&stage.profiler_as(NOBODY, &["report", "out"]).output().unwrap());
    told.assert_refused(1, &["cannot look into out", "Permission denied"]);
    stage.assert_detached();
}

#[test]
fn a_directory_that_is_not_ours_is_refused_and_a_swapped_one_redirects_nothing() {
    let test = "a_directory_that_is_not_ours_is_refused_and_a_swapped_one_redirects_nothing";
    if !can_run(test, &[]) {
        return;
    }
    let stage = Stage::new();
    fs::create_dir(stage.at("theirs")).unwrap();
    chown(stage.at("theirs"), Some(65534), Some(65534)).unwrap();
    fs::create_dir(stage.at("victim")).unwrap();
    fs::write(stage.at("victim/summary.json"), "precious").unwrap();
    symlink(stage.at("victim"), stage.at("link")).unwrap();
    for (output, why) in [("theirs", "belongs to uid 65534"), ("link", "symbolic link")] {
        let told = stage.run(&["record", "-d", "1s", "--probe", "cpu", "-o", output]);
        told.assert_refused(2, &[output, why, "choose a directory"]);
    }
    assert!(stage.files("theirs").is_empty());
    // Swapped while it records.
    let recording = Recording::start(&["--probe", "cpu"]);
    let (output, moved) = (recording.output(), recording.output().with_file_name("moved"));
    fs::rename(&output, &moved).unwrap();
    symlink(stage.at("victim"), &output).unwrap();
    // It must succeed, and the summary that is read behind the link is the victim's: so put back before it is read.
    let pid = recording.pid();
    send(pid, "INT");
    wait_for("everything to be written", || {
        (moved.join("capture.profiler").exists() && moved.join("cpu.svg").exists()).then_some(())
    });
    assert_eq!(fs::read_to_string(stage.at("victim/summary.json")).unwrap(), "precious");
    assert_eq!(stage.files("victim"), ["summary.json"]);
    fs::remove_file(&output).unwrap();
    fs::rename(&moved, &output).unwrap();
    let recorded = recording.ended();
    assert!(recorded.summary["missing_tail"].is_null());
    stage.assert_detached();
}

#[test]
fn a_pause_of_the_profiler_is_told() {
    if !can_run("a_pause_of_the_profiler_is_told", &[]) {
        return;
    }
    let recording = Recording::start(&["--probe", "cpu"]);
    let whole = || fs::metadata(recording.output().join("capture.partial")).unwrap().len();
    // The interval after the first one is the first whose length is its own.
    for _ in 0..2 {
        let before = whole();
        wait_for("an interval", || (whole() > before).then_some(()));
    }
    send(recording.pid(), "STOP");
    std::thread::sleep(std::time::Duration::from_secs(4));
    let before = whole();
    send(recording.pid(), "CONT");
    wait_for("an interval", || (whole() > before).then_some(()));
    let recorded = recording.stop();
    let pauses = recorded.summary["pauses"].as_array().unwrap();
    let longest = pauses.iter().map(|pause| number(pause, "end_ns") - number(pause, "start_ns")).max();
    assert!(longest.is_some_and(|ns| ns >= 4_000_000_000), "{pauses:?}");
    let text = Stage::new().run(&["report", recorded.output().to_str().unwrap()]);
    assert!(text.assert_done().stdout.contains("  PAUSE    nothing was read"), "{}", text.stdout);
}
