//! A recording from its beginning to its end, as its user sees it: what ends it, what it prints, what it
//! leaves, and what a replay makes of it.
//!
//! In: `profiler record` on this kernel. Out: exit codes, streams, files; nothing stays attached.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage up must fail")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::support::live::{Recording, Workload, assert_within, number, send, workload};
use crate::support::session::{NOBODY, Stage, Told, acting};
use crate::support::{can_run, wait_for};
use serde_json::Value;

const PICTURES: [&str; 17] = [
    "cpu.folded",
    "cpu.svg",
    "futex.folded",
    "futex.svg",
    "latency.folded",
    "latency.svg",
    "lock.folded",
    "lock.svg",
    "offcpu.folded",
    "offcpu.svg",
    "runq.folded",
    "runq.svg",
    "syscall-heat.svg",
    "syscall.folded",
    "syscall.svg",
    "wakers.folded",
    "wakers.svg",
];
/// Pictures of what a second of this machine may lack: disk requests, deaths, chains, peers.
const PERHAPS_EMPTY: [&str; 10] = [
    "block.folded",
    "block.svg",
    "crash.folded",
    "crash.svg",
    "chains.folded",
    "chains.svg",
    "peer.folded",
    "peer.svg",
    "peers.folded",
    "peers.svg",
];

fn copied(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::copy(from, to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_replay_is_the_recording() {
    if !can_run("a_replay_is_the_recording", &["setpriv"]) {
        return;
    }
    let stage = Stage::new();
    let workload = workload();
    // Slow calls, CPU, and a mutex and a futex that are waited for whatever else the machine does.
    let script = r#""$0" demo 1500 >&2 && "$0" stalled-pipe 3 20 >&2 && "$0" futex 3 20 >&2"#;
    let recorded = stage.run(&["record", "-o", "out", "--", "sh", "-c", script, workload.to_str().unwrap()]);
    let text = &recorded.assert_done().stdout;
    copied(&stage.at("out/capture.profiler"), &stage.at("saved"));
    for who in [None, Some(NOBODY)] {
        let report = |arguments: &[&str]| {
            let arguments = [&["report", "saved"], arguments].concat();
            let mut command =
                who.map_or_else(|| stage.profiler(&arguments), |who| stage.profiler_as(who, &arguments));
            let told = Told::new(&command.output().unwrap());
            assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{who:?} {arguments:?}");
            told.stdout
        };
        assert!(report(&[]) == *text, "{who:?}: the tables differ");
        let file = |name: &str| fs::read_to_string(stage.at("out").join(name)).unwrap();
        assert!(report(&["--format", "json"]) == file("summary.json"), "{who:?}: the summaries differ");
        for name in PICTURES {
            let (probe, format) = name.split_once('.').unwrap();
            assert!(!file(name).is_empty(), "{name} is empty: nothing is compared");
            let arguments = match probe {
                "syscall-heat" => vec!["--format", "heat"],
                probe => vec!["--format", format, "--probe", probe],
            };
            assert!(report(&arguments) == file(name), "{who:?}: {name} differs");
        }
        let pictures = if who.is_some() { "nobodys" } else { "roots" };
        // And the page, which holds when it was made of what.
        assert_eq!(report(&["-o", pictures]).lines().count(), 2 + PICTURES.len() + PERHAPS_EMPTY.len());
        for name in PICTURES.iter().chain(&PERHAPS_EMPTY).chain(&["summary.json"]) {
            let again = fs::read(stage.at(pictures).join(name)).unwrap();
            assert!(again == fs::read(stage.at("out").join(name)).unwrap(), "{who:?}: {name} differs");
        }
    }
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(stage.at("out/summary.json")).unwrap()).unwrap();
    for probe in ["syscall", "lock", "cpu"] {
        assert!(!summary["probes"][probe]["rows"].as_array().unwrap().is_empty(), "no rows of {probe}");
    }
    stage.assert_detached();
}

#[test]
fn a_killed_recording_can_be_read() {
    if !can_run("a_killed_recording_can_be_read", &[]) {
        return;
    }
    let stage = Stage::new();
    let mut workload = Workload::start(&["demo", "20000"]);
    let recording = Recording::start(&["--pid", &workload.pid().to_string()]);
    workload.go();
    let report = |format: &[&str], directory: &Path| {
        stage.run(&[&["report", directory.to_str().unwrap()], format].concat())
    };
    // Two intervals are on disk: then it dies in the middle of the third.
    let kept = wait_for("two intervals in the capture", || {
        let told = report(&["--format", "json"], &recording.output());
        let summary: Value = serde_json::from_str(&told.assert_done().stdout).unwrap();
        (number(&summary, "duration_ns") >= 2_000_000_000).then_some(summary)
    });
    let left = recording.kill();
    drop(workload);
    let output = left.path().join("out");
    assert_eq!(fs::read_dir(&output).unwrap().count(), 1, "only capture.partial is left");
    let json = report(&["--format", "json"], &output);
    assert!(json.assert_done().stderr.contains("was not finished"), "{}", json.stderr);
    let summary: Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(number(&summary, "duration_ns") >= number(&kept, "duration_ns"));
    assert!(summary["missing_tail"].as_str().unwrap().contains("it ends at second"), "{summary:#}");
    assert!(!summary["probes"]["syscall"]["rows"].as_array().unwrap().is_empty());
    let text = report(&[], &output);
    assert!(
        text.assert_done().stdout.contains("  PARTIAL  the recording was not finished"),
        "{}",
        text.stdout
    );
    for probe in ["syscall", "lock", "cpu"] {
        let svg = report(&["--format", "svg", "--probe", probe], &output);
        assert!(svg.assert_done().stdout.contains("TAIL MISSING"), "{probe}.svg does not say it");
    }
    let heat = report(&["--format", "heat"], &output);
    assert!(heat.assert_done().stdout.contains("TAIL MISSING"), "the heat map does not say it");
    // It stands in the way of the next recording, which says what to do, and does not touch it.
    let before = fs::read(output.join("capture.partial")).unwrap();
    stage
        .run(&["record", "-d", "1s", "-o", output.to_str().unwrap()])
        .assert_refused(2, &["capture.partial", "still runs or was killed", "choose another directory"]);
    assert!(fs::read(output.join("capture.partial")).unwrap() == before);
    stage.assert_detached();
}

#[test]
fn signals_finish_the_capture() {
    if !can_run("signals_finish_the_capture", &[]) {
        return;
    }
    // Under `nohup` the tests would hand down a SIGHUP that is ignored, and a recording respects that.
    // SAFETY: sets the default action, which runs no code of ours.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
    let stage = Stage::new();
    for signal in ["INT", "TERM", "HUP"] {
        let recording = Recording::start(&[]);
        send(recording.pid(), signal);
        let recorded = recording.ended();
        assert!(recorded.output().join("capture.profiler").is_file(), "SIG{signal}");
        assert!(!recorded.output().join("capture.partial").exists(), "SIG{signal}");
        assert_eq!(recorded.summary["missing_tail"], Value::Null, "SIG{signal}");
    }
    // Impatience does no harm: signals all through the finishing.
    let recording = Recording::start(&["--slow", "0"]);
    let pid = recording.pid();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let impatient = std::thread::spawn(move || {
        let mut sent = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            // SAFETY: signals the recording, which is reaped only after this thread was told to stop,
            // or later than the last signal: the pid is its own until then.
            unsafe { libc::kill(pid as i32, if sent % 2 == 0 { libc::SIGINT } else { libc::SIGTERM }) };
            sent += 1;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        sent
    });
    let renamed = recording.output().join("capture.profiler");
    wait_for("the capture to be finished", || renamed.is_file().then_some(()));
    stop.send(()).unwrap();
    assert!(impatient.join().unwrap() >= 2, "only one signal was sent");
    let left = recording.ended_impatiently();
    let report = stage.run(&["report", "--format", "json", left.path().join("out").to_str().unwrap()]);
    let summary: Value = serde_json::from_str(&report.assert_done().stdout).unwrap();
    assert_eq!(summary["missing_tail"], Value::Null, "the capture is whole");
    stage.assert_detached();
}

#[test]
fn a_duration_or_a_commands_end_ends_it() {
    if !can_run("a_duration_or_a_commands_end_ends_it", &[]) {
        return;
    }
    let stage = Stage::new();
    let timed = Recording::start(&["-d", "2s"]).ended();
    assert!(number(&timed.summary, "duration_ns") >= 2_000_000_000, "{}", timed.summary["duration_ns"]);
    // SIGPIPE is as a shell's child expects it: `yes` ends without a word.
    let piped = stage.run(&["record", "-q", "-o", "pipe", "--", "sh", "-c", "yes | head -1"]);
    assert!(piped.assert_done().stdout.starts_with("y\n"), "{}", piped.stdout);
    assert_eq!(piped.stderr, "");
    let failed = stage.run(&["record", "-o", "code", "--", "sh", "-c", "exit 3"]);
    assert!(failed.assert_done().stderr.contains("exit code 3"), "{}", failed.stderr);
    for (script, code) in [("exit 7", 7), ("kill -TERM $$", 128 + libc::SIGTERM), ("exit 0", 0)] {
        let told = stage.run(&["record", "-q", "--exit-code", "-o", script, "--", "sh", "-c", script]);
        assert_eq!(told.code, Some(code), "{script}: {}", told.stderr);
        assert!(stage.files(script).contains(&"capture.profiler".to_owned()), "{script}");
    }
    let goes_on = ["record", "-d", "100ms", "--exit-code", "-o", "on", "--", "sleep", "2"];
    assert!(stage.run(&goes_on).assert_done().stderr.contains("has no exit code yet"));
    stage
        .run(&["record", "--exit-code", "-o", "none", "--", "/no/such"])
        .assert_refused(2, &["no such command"]);
    // Found, but not executable: wrong usage, and no capture of nothing.
    fs::write(stage.at("script"), "#!/no/such/interpreter\n").unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(stage.at("script"), fs::Permissions::from_mode(0o755)).unwrap();
    let script = stage.run(&["record", "-o", "none", "--", "./script"]);
    script.assert_refused(2, &["cannot run ./script", "No such file"]);
    assert!(!stage.at("none").exists());
    stage.assert_detached();
}

#[test]
fn every_probe_runs_alone() {
    if !can_run("every_probe_runs_alone", &[]) {
        return;
    }
    let stage = Stage::new();
    for (probe, more) in [
        ("syscall", &["--slow", "0"][..]),
        ("lock", &["--cpu", "0"]),
        ("cpu", &["-F", "999", "--json"]),
        ("syscall", &["--json", "--cpu", "0"]),
        ("cpu", &["-F", "1"]),
    ] {
        let record = ["record", "-q", "-d", "1s", "-o", "out", "--probe", probe];
        let told = stage.run(&[&record[..], more].concat());
        assert_eq!(told.assert_done().stderr, "", "{probe} {more:?}: -q is not quiet");
        let (folded, svg) = (format!("{probe}.folded"), format!("{probe}.svg"));
        let mut expected = vec!["capture.profiler", &folded, "report.html", "summary.json", &svg];
        if probe == "syscall" {
            expected.extend(["latency.folded", "latency.svg", "syscall-heat.svg"]);
        }
        expected.sort_unstable();
        assert_eq!(stage.files("out"), expected, "{probe} {more:?}");
        let summary = fs::read_to_string(stage.at("out/summary.json")).unwrap();
        assert_eq!(told.stdout == summary, more.contains(&"--json"), "{probe} {more:?}");
        let summary: Value = serde_json::from_str(&summary).unwrap();
        let backends = summary["backends"].as_array().unwrap();
        assert!(backends.len() == 1 && backends[0]["active"] == true, "{backends:?}");
        for other in ["syscall", "lock", "cpu"] {
            let rows = summary["probes"][other]["rows"].as_array();
            let rows = rows.map_or(0, Vec::len);
            // A quiet machine may show no lock wait in a second, nor a sample at 1 Hz, nor a call on one of its CPUs.
            let wanted = (probe == "syscall" && !more.contains(&"--cpu")) || more.contains(&"999");
            assert!(
                if other == probe { rows > 0 || !wanted } else { rows == 0 },
                "{probe}: {rows} of {other}"
            );
        }
        fs::remove_dir_all(stage.at("out")).unwrap();
    }
    stage.assert_detached();
}

#[test]
fn what_it_says_of_its_own_cost_is_true() {
    if !can_run("what_it_says_of_its_own_cost_is_true", &[]) {
        return;
    }
    let mut workload = Workload::start(&["--linger", "demo", "1500"]);
    let recording = Recording::start(&["--pid", &workload.pid().to_string()]);
    workload.go();
    workload.report();
    let (pid, maps) = (recording.pid(), memory_of_maps(recording.pid()));
    let peak = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        kib.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    };
    let peak = peak();
    let recorded = recording.stop();
    let cost = &recorded.summary["cost"];
    assert_within("memory of BPF maps", number(cost, "map_bytes"), maps.values().sum(), 0.0);
    assert!(number(cost, "map_bytes_256_cpus") > number(cost, "map_bytes"), "{cost:#}");
    // Finishing may raise the peak, by what the last interval needs; it cannot lower it.
    let reported = number(cost, "peak_rss_bytes");
    assert!(reported >= peak && reported <= peak + peak / 2, "peak RSS {reported}, the kernel said {peak}");
    assert!(number(cost, "user_ns") + number(cost, "system_ns") > 0, "{cost:#}");
    let programs = cost["programs"].as_array().unwrap();
    for name in ["sys_enter", "sys_exit", "sched_switch", "cpu_sample"] {
        let program = programs.iter().find(|program| program["program"] == name);
        let program = program.unwrap_or_else(|| panic!("no cost of {name}: {programs:#?}"));
        let (runs, run_ns) = (number(program, "runs"), number(program, "run_ns"));
        assert!(runs > 0 && run_ns >= runs, "{name}: {run_ns} ns in {runs} runs");
        // A program cannot have run longer than the windows lasted, on all CPUs.
        assert!(run_ns <= number(cost, "window_ns") * number(cost, "cpus"), "{cost:#}");
    }
    let windows = cost["windows"].as_array().unwrap();
    let sum = |field: &str| windows.iter().map(|window| number(window, field)).sum::<u64>();
    assert_eq!(sum("length_ns"), number(cost, "window_ns"), "each window has the events in it: {cost:#}");
    assert_eq!(
        sum("run_ns"),
        programs.iter().map(|program| number(program, "run_ns")).sum::<u64>(),
        "{cost:#}"
    );
    assert!((1..=number(cost, "own_events")).contains(&sum("events")), "{cost:#}");
    assert!(cost["programs_share"].as_f64().is_some_and(|share| share > 0.0), "{cost:#}");
}

/// `memlock` of each BPF map a process holds, by the map's id.
fn memory_of_maps(pid: u32) -> BTreeMap<u64, u64> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    assert!(!maps.is_empty(), "a recording holds maps");
    maps
}

#[test]
fn a_terminal_gets_a_progress_line_and_a_pipe_does_not() {
    if !can_run("a_terminal_gets_a_progress_line_and_a_pipe_does_not", &["script"]) {
        return;
    }
    let stage = Stage::new();
    let on_terminal = |options: &str, name: &str| {
        let mut script = std::process::Command::new("script");
        let record = format!(
            "exec '{}' record {options} -d 3s -o {name} >{name}.stdout",
            crate::support::live::profiler().display()
        );
        script.args(["-qec", &record, "/dev/null"]).current_dir(stage.path()).stdin(Stdio::null());
        Told::new(&script.output().unwrap())
    };
    let shown = on_terminal("", "shown");
    let terminal = &shown.assert_done().stdout;
    let lines: Vec<&str> = terminal.split("\r\x1b[K").filter(|line| line.starts_with("recording ")).collect();
    assert!(!lines.is_empty() && lines.len() <= 3, "{terminal:?}");
    for line in &lines {
        for part in [" of 3 s", " calls", " slow", " lock waits", " samples"] {
            assert!(line.contains(part), "{line:?}");
        }
        assert_eq!(acting(line), None, "{line:?}");
    }
    // The line is gone before anything else is said.
    assert!(terminal.split("\r\x1b[K").last().unwrap().trim_start().starts_with("capture  "), "{terminal:?}");
    let tables = fs::read_to_string(stage.at("shown.stdout")).unwrap();
    assert!(tables.starts_with("whole machine") && acting(&tables).is_none(), "{tables}");
    assert_eq!(on_terminal("-q", "quiet").assert_done().stdout, "");

    let piped = stage.run(&["record", "-d", "2s", "-o", "piped"]);
    assert!(!piped.assert_done().stderr.contains("recording "), "{}", piped.stderr);
    assert_eq!(acting(&piped.stderr), None, "{:?}", piped.stderr);
    stage.assert_detached();
}
