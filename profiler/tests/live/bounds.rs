//! A recording keeps its memory and its files within bounds, and does not keep anybody waiting.
//!
//! In: root; thousands of processes that come and go, tens of thousands of stacks. Out: sums that are the truth, resident
//! memory, the capture's size, and an end as soon as somebody asks for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage up must fail")]

use std::fs;
use std::process::{Command, Stdio};

use crate::support::live::{Recording, Workload, number, profiler as program, send};
use crate::support::session::{Stage, Told};
use crate::support::{Process, can_run, wait_for};

/// Processes that come and go: more than keep rows of their own.
const PROCESSES: u64 = 4_000;
/// Ended processes that keep rows of their own when the others are summed up.
const KEPT: u64 = 2_048;
/// Resident memory of a recording, bytes.
const RESIDENT: u64 = 200 << 20;

#[test]
fn processes_that_ended_are_summed_up_and_no_call_is_lost() {
    if !can_run("processes_that_ended_are_summed_up_and_no_call_is_lost", &[]) {
        return;
    }
    let words = ["--linger", "crowd-processes", &PROCESSES.to_string(), "16"];
    let mut workload = Workload::start(&words);
    let recording = Recording::start(&["--pid", &workload.pid().to_string(), "--slow", "1ms"]);
    workload.go();
    let truth = workload.report();
    // Rows of the last ones are waited for before they are summed up; the capture then has their pids.
    let capture = recording.output().join("capture.partial");
    let summed_up = || {
        let profile = profiler::capture::read(&capture).ok()?;
        let ended = profile
            .processes
            .iter()
            .filter(|process| process.comm == "workload")
            .map(|process| process.ended);
        (ended.sum::<u64>() >= PROCESSES - KEPT).then_some(())
    };
    wait_for("processes to be summed up", summed_up);
    let recorded = recording.stop();
    let folded = recorded.counted("process_folded");
    println!("{folded} of {PROCESSES} summed up, {} bytes resident", recorded.peak_rss);
    assert!(recorded.peak_rss <= RESIDENT, "{} bytes resident", recorded.peak_rss);
    let rows = recorded.summary["probes"]["syscall"]["rows"].as_array().unwrap();
    let lost = recorded.counted("syscall_row_full");
    for call in ["getppid", "nanosleep"] {
        let of_call = || rows.iter().filter(|row| row["syscall"] == call);
        let counted: u64 = of_call().map(|row| number(row, "count")).sum();
        let truth = number(&truth, &format!("{call}_calls"));
        recorded.assert_counted(call, counted + lost.min(truth.saturating_sub(counted)), truth);
        let ended: Vec<u64> =
            of_call().filter(|row| row["pid"].is_null()).map(|row| number(row, "ended_processes")).collect();
        // Others of this machine may have ended meanwhile, too.
        let [ended] = ended[..] else { panic!("{call}: not one row for all that are summed up: {ended:?}") };
        assert!((PROCESSES - KEPT..=folded).contains(&ended), "{call}: {ended} of {folded}");
    }
    assert!(recorded.output().join("capture.profiler").exists());
    let replay = profiler::capture::read(&recorded.output()).unwrap();
    assert_eq!(
        replay.ledger.get(profiler::profile::Class::ProcessFolded),
        folded,
        "a replay sums up the same"
    );
}

#[test]
fn a_command_line_of_megabytes_leaves_a_capture_that_opens() {
    if !can_run("a_command_line_of_megabytes_leaves_a_capture_that_opens", &[]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let words = vec!["x".repeat(60_000); 30];
    let mut record = Command::new(program());
    record.args(["record", "--probe", "syscall", "-o"]).arg(&output).args(["--", "true"]).args(&words);
    let ended = record.stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let header = profiler::capture::read(&output).unwrap().header;
    assert_eq!(header.arguments.last().unwrap(), "[29 more arguments, 1740000 bytes]");
    assert!(header.target.label.len() < 5_000, "{}", header.target.label.len());
}

/// A recording of tens of thousands of stacks, in a directory of its own.
struct ManyStacks {
    stage: Stage,
    workload: Workload,
    record: Process,
}

impl ManyStacks {
    fn start(arguments: &[&str]) -> Self {
        let stage = Stage::new();
        let mut workload = Workload::start(&["--linger", "many-stacks", "30000", "60", "50"]);
        let pid = workload.pid().to_string();
        let mut command: Command =
            stage.profiler(&[&["record", "-o", "out", "--slow", "0", "--pid", &pid], arguments].concat());
        let file = |name: &str| fs::File::create(stage.at(name)).unwrap();
        let record =
            command.stdout(file("stdout")).stderr(file("stderr")).stdin(Stdio::null()).spawn().unwrap();
        let length = || fs::metadata(stage.at("out/capture.partial")).map_or(0, |partial| partial.len());
        wait_for("the header", || (length() > 100).then_some(()));
        workload.go();
        Self { stage, workload, record: Process(record) }
    }

    /// How it ended.
    fn ended(mut self) -> (Stage, Told) {
        let status = wait_for("the recording to end", || self.record.0.try_wait().unwrap());
        let text = |name: &str| fs::read_to_string(self.stage.at(name)).unwrap();
        let told = Told { code: status.code(), stdout: text("stdout"), stderr: text("stderr") };
        (self.stage, told)
    }
}

#[test]
fn a_second_ctrl_c_ends_the_writing_of_results() {
    if !can_run("a_second_ctrl_c_ends_the_writing_of_results", &[]) {
        return;
    }
    let mut many = ManyStacks::start(&[]);
    many.workload.report();
    let pid = many.record.pid();
    send(pid, "INT");
    wait_for("the capture to be whole", || many.stage.at("out/capture.profiler").exists().then_some(()));
    send(pid, "INT");
    let (stage, told) = many.ended();
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    for part in ["ended by a second Ctrl-C", "missing: ", "wakers.svg", "profiler report out"] {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }
    let left = stage.files("out");
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
    stage.run(&["report", "out", "-o", "again"]).assert_done();
    assert!(stage.files("again").contains(&"wakers.svg".to_owned()));
    stage.assert_detached();
}

#[test]
fn a_recording_ends_by_itself_before_its_capture_exceeds_its_size() {
    if !can_run("a_recording_ends_by_itself_before_its_capture_exceeds_its_size", &[]) {
        return;
    }
    let many = ManyStacks::start(&["--max-size", "1M"]);
    let (stage, told) = many.ended();
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let said = |text: &str| text.contains("Recording ended at second") && text.contains("--max-size");
    let unwrapped = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said(&told.stderr) && said(&unwrapped), "{}", told.stdout);
    let size = fs::metadata(stage.at("out/capture.profiler")).unwrap().len();
    assert!(size >= 700_000, "{size}");
    stage.assert_detached();
}
