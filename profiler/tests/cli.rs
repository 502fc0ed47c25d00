//! The command line from outside: help as a document, usage errors, and `report` on bad input.
//!
//! In: the built tool. Out: exit code, stdout, stderr and the files it leaves.
//! `BLESS=1 cargo test -p profiler --test cli` rewrites the goldens.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage up must fail")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use profiler::capture::Writer;
use profiler::cli::settings::{IdleRows, RecordSettings, Settings, Unwind};
use profiler::cli::{self, Request};
use profiler::probe::{Probe, Probes};
use profiler::profile::rows::CpuKey;
use profiler::profile::{Chunk, CpuRow, End, Header, Interval, Pid, ProbePlan, StackId};

fn profiler(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_profiler")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs it, expects `code`, nothing on stdout and one clear line on stderr, which is returned.
fn refused(arguments: &[&str], code: i32) -> String {
    let output = profiler(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
    assert!(stderr.starts_with("profiler: ") && stderr.ends_with('\n'), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(!stderr.trim_end().chars().any(char::is_control), "{arguments:?}: {stderr:?}");
    stderr
}

/// A capture with `rows` rows of samples.
fn capture(directory: &Path, rows: u32) -> PathBuf {
    let plan =
        ProbePlan { probe: "cpu".into(), backend: "perf".into(), active: true, ..ProbePlan::default() };
    let header = Header { probes: vec![plan], ..Header::default() };
    let mut interval = Interval { end_ns: 1_000_000_000, ..Interval::default() };
    for pid in 1..=rows {
        let key = CpuKey { pid: Pid(pid), kernel: StackId::NONE, user: StackId::NONE };
        interval.cpu.rows.insert(key, CpuRow { samples: 1 });
    }
    let mut writer = Writer::create(directory).unwrap();
    writer.append(&Chunk::Header(Box::new(header))).unwrap();
    writer.append(&Chunk::Interval(Box::new(interval))).unwrap();
    writer.append(&Chunk::End(Box::new(End { duration_ns: 1_000_000_000, ..End::default() }))).unwrap();
    writer.finish().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn help_is_a_document() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, arguments) in [
        ("help", &["--help"][..]),
        ("help-record", &["record", "--help"]),
        ("help-report", &["report", "--help"]),
        ("help-diff", &["diff", "--help"]),
        ("help-check", &["check", "--help"]),
        ("help-targets", &["targets", "--help"]),
    ] {
        let output = profiler(arguments);
        assert_eq!(output.status.code(), Some(0), "{name}");
        let found = String::from_utf8(output.stdout).unwrap();
        for line in found.lines() {
            assert!(line.chars().count() <= 100, "{name}: over 100 columns: {line}");
        }
        let path = golden.join(format!("{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &found).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, expected, "{name} changed; BLESS=1 if it is meant");
    }
}

#[test]
fn every_flag_has_one_line_of_help() {
    for command in ["record", "crash", "report", "diff", "check", "targets"] {
        let help = String::from_utf8(profiler(&[command, "-h"]).stdout).unwrap();
        let listed = help.split("Examples:").next().unwrap();
        let lines: Vec<_> = listed.lines().skip_while(|line| *line != "Options:").collect();
        let mut flags = 0;
        let ends = ["Probes:", "Targets of", "Formats of"];
        for line in lines.iter().take_while(|line| !ends.iter().any(|end| line.starts_with(end))) {
            let indented = line.trim_start();
            assert!(
                !indented.starts_with('-') || indented.contains("  "),
                "{command}: no help beside {line}"
            );
            // A wrapped line of help would be indented and begin otherwise.
            assert!(
                indented.starts_with('-') || !line.starts_with(' '),
                "{command}: two lines of help: {line}"
            );
            flags += usize::from(indented.starts_with('-'));
        }
        assert!(flags >= 4, "{help}");
        assert!(help.contains("Examples:"), "{command}");
    }
}

#[test]
fn usage_errors_name_the_flag_and_the_mend() {
    for (arguments, parts) in [
        (&["record", "-d", "30"][..], &["--duration", "30s"][..]),
        (&["record", "-d", "0"], &["--duration", "leave it out"]),
        (&["record", "--slow", "10"], &["--slow", "10ms"]),
        (&["record", "--slow", "fast"], &["--slow", "30s, 10ms"]),
        (&["record", "-F", "0"], &["--frequency", "1 to 9999"]),
        (&["record", "--stack-bytes", "511"], &["--stack-bytes", "512 to 32760"]),
        (&["record", "-F", "10000"], &["--frequency", "1 to 9999"]),
        (&["record", "--cpu", "3-1"], &["--cpu", "1-3"]),
        (&["record", "--cpu", "0-4294967295"], &["--cpu", "8191"]),
        (&["record", "--pid", "web"], &["--pid", "--comm"]),
        (&["record", "--pid", "0"], &["--pid", "1234"]),
        (&["record", "--probe", "disk"], &["--probe", "syscall, lock", " and "]),
        (&["record", "--lsm-hooks", "a b"], &["--lsm-hooks", "socket_sendmsg"]),
        (&["record", "--probe", "cpu", "--lsm-hooks", "file_open"], &["--lsm-hooks", "--probe"]),
        (&["record", "--container", ""], &["--container", "profiler targets"]),
        (&["record", "--comm", "a-very-long-command"], &["--comm", "\"a-very-long-com\""]),
        (&["record", "--durration", "3s"], &["--durration", "--duration"]),
        (&["record", "-q", "-v"], &["--quiet", "--verbose"]),
        (&["record", "--json\x1b[31m\n"], &["--json"]),
        (&["record", "make"], &["make", "--"]),
        (&["report"], &["CAPTURE"]),
        (&["report", "x", "--format", "svg"], &["--format", "--probe"]),
        (&["report", "x", "--format", "pdf"], &["--format", "svg"]),
        (&["report", "x", "--probe", "cpu"], &["--probe", "--format"]),
        (&["report", "x", "--format", "csv", "--probe", "cpu"], &["--probe", "csv has no pictures"]),
        (&["diff", "x"], &["AFTER"]),
        (&["report", "x", "-o", "-"], &["--output", "stdout"]),
        (&["record", "-o", "-", "--json"], &["--json", "stdout"]),
        (&["diff", "x@9s..3s", "y"], &["BEFORE", "x@10s..20s"]),
        (&["diff", "x", "y", "--fail-if", "p99 > 5"], &["--fail-if", "p99(sendto) > +20%"]),
        (&["man", "recrod"], &["recrod", "record, crash, report, diff, check, targets"]),
        (&["report", "x", "-o", "y", "--format", "json"], &["--output", "--format"]),
        (&["recrod"], &["recrod", "record"]),
        (&[], &["profiler record", "--help"]),
    ] {
        let line = refused(arguments, 2);
        for part in parts {
            assert!(line.contains(part), "{arguments:?}: {line} lacks {part}");
        }
    }
}

#[test]
fn record_settings_hold_what_was_typed() {
    let typed = [
        "profiler",
        "record",
        "--container",
        "web",
        "--container=3f2a",
        "--pod",
        "shop/cart",
        "--cgroup",
        "/a",
        "--unit",
        "cron.service",
        "--pid",
        "7,8",
        "--pid",
        "9",
        "--comm",
        "nginx",
        "--thread",
        "worker*",
        "--probe",
        "lock,cpu",
        "-d",
        "1m30s",
        "--slow",
        "0",
        "-o",
        "out",
        "-F",
        "999",
        "--backend",
        "lock.spin=kprobe",
        "--cpu",
        "0-1,4",
        "--unwind",
        "dwarf",
        "--stack-bytes",
        "4099",
        "-vv",
        "--json",
        "--exit-code",
        "--",
        "make",
        "-j8",
    ];
    let Ok(Request::Run(Settings::Record(found))) = cli::parse(typed.map(Into::into)) else {
        panic!("not record");
    };
    let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let expected = RecordSettings {
        wait: false,
        containers: strings(&["web", "3f2a"]),
        pods: strings(&["shop/cart"]),
        cgroups: vec!["/a".into()],
        units: strings(&["cron.service"]),
        pids: vec![7, 8, 9],
        comms: strings(&["nginx"]),
        threads: strings(&["worker*"]),
        probes: [Probe::Lock, Probe::Cpu].into_iter().collect(),
        backends: strings(&["lock.spin=kprobe"]),
        lsm_hooks: Vec::new(),
        duration: Some(Duration::from_secs(90)),
        slow: Duration::ZERO,
        max_size: 1 << 30,
        output: Some("out".into()),
        frequency_hz: 999,
        unwind: Unwind::Tables,
        stack_bytes: 4096, // whole words
        no_memory: false,
        tells_deaths: false,
        cpus: Some(vec![0, 1, 4]),
        verbosity: 2,
        json: true,
        idle: IdleRows::Apart,
        command: vec!["make".into(), "-j8".into()],
        exit_code: true,
        arguments: strings(&typed[1..]),
    };
    assert_eq!(*found, expected);

    let Ok(Request::Run(Settings::Record(bare))) = cli::parse(["profiler", "record"].map(Into::into)) else {
        panic!("not record");
    };
    assert_eq!(bare.probes, Probes::all());
    assert_eq!((bare.duration, bare.slow, bare.frequency_hz), (None, Duration::from_millis(10), 99));
    assert_eq!((bare.unwind, bare.copies()), (Unwind::Auto, Some(32_760)));
    assert_eq!((bare.cpus, bare.output, bare.verbosity), (None, None, 0));
}

#[test]
fn a_file_that_is_no_capture_gets_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::read(capture(&directory.path().join("whole"), 3)).unwrap();
    for (name, bytes, expected) in [
        ("garbage", &b"\x7fELF\x02\x01\x01 and so on"[..], "is not a capture"),
        ("text", b"profiler-capture of nothing\n", "is not a capture"),
        ("empty", b"", "is empty"),
        ("newer", b"profiler-capture 7\n...", "format version 7"),
        ("first-line", &whole[..9], "holds nothing whole"),
        ("no-header", &whole[..30], "holds nothing whole"),
        ("bad\x1b[31mname", b"x", "is not a capture"),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        let line = refused(&["report", text(&path)], 1);
        assert!(line.contains(expected), "{name}: {line}");
    }
}

#[test]
fn a_path_that_names_no_capture_is_wrong_usage() {
    let directory = tempfile::tempdir().unwrap();
    let line = refused(&["report", text(directory.path())], 2);
    assert!(line.contains("holds no capture.profiler"), "{line}");
    let line = refused(&["report", text(&directory.path().join("gone"))], 2);
    assert!(line.contains("no such file"), "{line}");
    let line = refused(&["report", "/dev/zero"], 2);
    assert!(line.contains("not a regular file"), "{line}");
}

#[test]
fn a_fifo_does_not_hang_it() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().join("fifo"), directory.path().join("capture.profiler")] {
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    }
    for path in [directory.path().join("fifo"), directory.path().to_path_buf()] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_profiler"))
            .args(["report", text(&path)])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("it hangs on {}", path.display());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(2));
    }
}

#[test]
fn a_cut_capture_is_shown_with_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::read(capture(&directory.path().join("whole"), 3)).unwrap();
    let cut = directory.path().join("cut");
    fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let output = profiler(&["report", text(&cut)]);
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("unreadable (cut inside a chunk): it ends at second 1.0"), "{stderr}");
    assert!(!output.stdout.is_empty());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let path = capture(directory.path(), 50_000);
    for arguments in [&["report", text(&path)][..], &["record", "--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = Command::new(env!("CARGO_BIN_EXE_profiler"))
            .args(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn a_full_disk_behind_stdout_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let path = capture(directory.path(), 10);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_profiler"))
        .args(["report", text(&path)])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdout: No space left"), "{output:?}");
}

#[test]
fn pictures_are_whole_private_and_all_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = capture(&directory.path().join("out"), 10);
    let pictures = directory.path().join("new/pictures");
    let output = profiler(&["report", text(&path), "-o", text(&pictures)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let expected = ["report.html", "summary.json", "cpu.folded", "cpu.svg"].map(|name| pictures.join(name));
    assert_eq!(printed.lines().map(PathBuf::from).collect::<Vec<_>>(), expected);
    assert_eq!(fs::read_dir(&pictures).unwrap().count(), expected.len());
    for path in expected {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn an_output_that_cannot_be_written_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = capture(&directory.path().join("out"), 10);
    let file = directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    for target in [file.clone(), file.join("below")] {
        let line = refused(&["report", text(&path), "-o", text(&target)], 1);
        assert!(line.contains("cannot create the output directory"), "{line}");
    }
    // A directory in the place of one of the files: what came before it is whole, nothing is half.
    let pictures = directory.path().join("pictures");
    fs::create_dir_all(pictures.join("cpu.folded/x")).unwrap();
    let line = refused(&["report", text(&path), "-o", text(&pictures)], 1);
    assert!(line.contains("cannot write") && line.contains("cpu.folded"), "{line}");
    let mut left: Vec<_> = fs::read_dir(&pictures)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["cpu.folded", "report.html", "summary.json"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert!(profiler::capture::read(&file).is_err());
}
