//! Where processes died, against programs that die in known ways.
//!
//! In: root. Out: for each way its kind, its functions, its sender; as many faults told and untold as there were; nothing of
//! what handlers caught.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use std::process::{Command, Stdio};

use crate::support::live::{Recorded, Recording, Workload, assert_passes, number, profiler, stack};
use crate::support::scope::Stage;
use crate::support::{Cgroup, Runc, can_run, wait_for};
use serde_json::Value;

/// The functions that each way to die goes through, from the root on.
const CALLERS: [&str; 3] =
    ["workload::die::die_outer", "workload::die::die_middle", "workload::die::die_leaf"];

fn record(words: &[&str], options: &[&str]) -> (Recorded, Value) {
    let mut workload = Workload::start(&[&["--linger"], words].concat());
    let pid = workload.pid().to_string();
    let recording = Recording::start(&[&["--pid", &pid], options].concat());
    workload.go();
    let truth = workload.report();
    (recording.stop(), truth)
}

fn of_pid<'s>(list: &'s Value, pid: &Value) -> Vec<&'s Value> {
    list.as_array().unwrap().iter().filter(|row| row["pid"] == *pid).collect()
}

/// The one fault of a process that it died of.
fn fault<'r>(recorded: &'r Recorded, pid: &Value) -> &'r Value {
    let faults = of_pid(&recorded.summary["probes"]["crash"]["rows"], pid);
    let own: Vec<&&Value> = faults.iter().filter(|fault| fault["how"] != "caught").collect();
    assert_eq!(own.len(), 1, "pid {pid}: {faults:#?}");
    own[0]
}

fn death<'r>(recorded: &'r Recorded, pid: &Value) -> &'r Value {
    let deaths = of_pid(&recorded.summary["deaths"], pid);
    assert_eq!(deaths.len(), 1, "pid {pid}: {deaths:?}");
    deaths[0]
}

#[test]
fn each_way_to_die_is_told_with_its_kind_its_functions_and_its_sender() {
    if !can_run("each_way_to_die_is_told_with_its_kind_its_functions_and_its_sender", &[]) {
        return;
    }
    let (recorded, truth) = record(&["deaths", "2"], &["--probe", "crash"]);
    let pids = |way: &str| truth[way].as_array().unwrap().clone();
    for (way, signal, leaf) in [
        ("null", "SIGSEGV", CALLERS[2]),
        ("unmapped", "SIGSEGV", CALLERS[2]),
        ("no_permission", "SIGSEGV", CALLERS[2]),
        ("file_truncated", "SIGBUS", "workload::die::read_truncated"),
        ("raised", "SIGABRT", CALLERS[2]),
        ("refused", "SIGSYS", "workload::die::refuse_and_call"),
        ("stack_overflow", "SIGSEGV", "workload::die::descend"),
    ] {
        for pid in pids(way) {
            let fault = fault(&recorded, &pid);
            assert_eq!((&fault["kind"], &fault["signal"]), (&way.into(), &signal.into()), "{fault:#}");
            let mut wanted = if way == "stack_overflow" { Vec::new() } else { CALLERS.to_vec() };
            wanted.push(leaf);
            wanted.dedup();
            assert_passes(&stack(fault), &wanted);
            assert_eq!(death(&recorded, &pid)["signal"], signal);
            let core = fault["core"].as_str().unwrap();
            assert!(core.starts_with("no core: ") || core.starts_with("core: written"), "{core}");
            let of_thread = fault["tid"] != fault["pid"];
            assert_eq!(of_thread, way == "stack_overflow", "{fault:#}");
        }
    }
    // The default action after the standard library's own handler, which gave the fault back.
    for pid in pids("handled") {
        assert_eq!(fault(&recorded, &pid)["kind"], "null");
        assert_passes(&stack(fault(&recorded, &pid)), &CALLERS);
    }
    // A handler that ends the process: what it caught is told.
    for pid in pids("gave_up") {
        let faults = of_pid(&recorded.summary["probes"]["crash"]["rows"], &pid);
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert_eq!((&faults[0]["how"], &faults[0]["kind"]), (&"caught".into(), &"null".into()));
        assert_passes(&stack(faults[0]), &CALLERS);
        assert_eq!(death(&recorded, &pid)["exit_code"], 2);
    }
    for pid in pids("failed") {
        assert_eq!(death(&recorded, &pid)["exit_code"], 7);
        assert!(of_pid(&recorded.summary["probes"]["crash"]["rows"], &pid).is_empty());
    }
    for pid in pids("asked") {
        let death = death(&recorded, &pid);
        let told = (&death["signal"], &death["after_signal"]);
        assert_eq!(told, (&"SIGKILL".into(), &"SIGTERM".into()), "{death}");
        assert!(number(death, "after_ns") >= 50_000_000, "{death}");
    }
    let killed = death(&recorded, &truth["killed"]);
    assert_eq!((&killed["signal"], &killed["sender_pid"]), (&"SIGKILL".into(), &truth["killer"]));
    assert_eq!(killed["sender_comm"], "assassin");
    assert_eq!(fault(&recorded, &truth["killed"])["how"], "killed");
    let text = Command::new(profiler()).arg("report").arg(recorded.output()).output().unwrap().stdout;
    let text = String::from_utf8_lossy(&text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("die_leaf < workload::die::die_middle < workload::die::die_outer"), "{text}");
    assert!(text.contains("null pointer") && text.contains("build id"), "{text}");
}

#[test]
fn of_200_faults_each_is_told_or_counted_as_untold() {
    if !can_run("of_200_faults_each_is_told_or_counted_as_untold", &[]) {
        return;
    }
    let (recorded, truth) = record(&["faults", "200"], &["--probe", "crash"]);
    let rows = recorded.summary["probes"]["crash"]["rows"].as_array().unwrap();
    let whole = rows.iter().filter(|row| CALLERS.iter().all(|caller| stack(row).contains(caller))).count();
    let untold = recorded.counted("fault_untold") + recorded.counted("fault_recursion_miss");
    println!("{} told, {whole} of them whole, {untold} untold", rows.len());
    assert_eq!(rows.len() as u64 + untold, truth["faults"].as_u64().unwrap());
    assert!(whole * 100 >= rows.len() * 99, "{whole} of {}", rows.len());
    let deaths = recorded.summary["deaths"].as_array().unwrap().len() as u64;
    assert_eq!(deaths + recorded.counted("death_untold"), 200);
}

#[test]
fn what_handlers_catch_is_no_death() {
    if !can_run("what_handlers_catch_is_no_death", &[]) {
        return;
    }
    let (recorded, truth) = record(&["caught-faults", "1000"], &["--probe", "crash"]);
    assert_eq!(truth["caught"], 1000);
    let caught = recorded.counted("fault_caught");
    assert!(caught + recorded.counted("fault_recursion_miss") >= 1000, "{caught}");
    assert_eq!(recorded.summary["probes"]["crash"]["rows"].as_array().unwrap().len(), 0);
    assert_eq!(recorded.summary["deaths"].as_array().unwrap().len(), 0);
}

#[test]
fn the_crash_command_prints_each_death_and_no_memory_keeps_none() {
    if !can_run("the_crash_command_prints_each_death_and_no_memory_keeps_none", &[]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut command = Command::new(profiler());
    command.args(["crash", "--no-memory", "-o"]).arg(&out).arg("--").arg(crate::support::live::workload());
    let done = command.args(["periodic-faults", "4", "210"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(text.matches(" died by SIGSEGV, ").count(), 4, "{text}");
    assert!(text.matches("die_leaf < workload::die::die_middle").count() >= 4, "{text}");
    let summary = judge::recording::summary(&out).unwrap();
    let rows = summary["probes"]["crash"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!((&row["address"], &row["kind"]), (&Value::Null, &"null".into()), "{row}");
        assert!(row["registers"].as_object().unwrap().is_empty(), "{row}");
    }
    let finding = summary["findings"][0].as_str().unwrap();
    assert!(
        finding.contains("4 deaths by SIGSEGV, ") && finding.contains("workload::die::die_leaf"),
        "{finding}"
    );
    // The workload's own clock tells whether they came regularly: a busy machine may have delayed one.
    let line = text.lines().find(|line| line.starts_with('{')).unwrap();
    let truth: Value = serde_json::from_str(line).unwrap();
    let mut gaps: Vec<u64> =
        truth["gaps_ns"].as_array().unwrap().iter().map(|gap| gap.as_u64().unwrap()).collect();
    gaps.sort_unstable();
    let (least, most, mean) = (gaps[0], gaps[2], gaps.iter().sum::<u64>() / 3);
    let evidence = summary["evidence"].as_array().unwrap().iter().find(|found| found["rule"] == "deaths");
    let period = number(&evidence.unwrap()["numbers"], "period_ns");
    if most - least <= least / 10 {
        assert!(period.abs_diff(mean) <= mean / 5, "a period of {period}, it was {mean}");
        assert!(text.contains("4 times, every ") && finding.contains("every "), "{finding}");
    } else if most > 2 * least {
        assert_eq!(period, 0, "{gaps:?}");
    }
}

/// Processes that were there before a recording and sleep in one call until they die, which is when it has just begun: as many
/// faults as deaths, each with its functions.
fn assert_told_at_once(mut victims: Vec<Workload>, options: &[&str]) {
    let recording = Recording::start(options);
    victims.iter_mut().for_each(Workload::go);
    // The end of its output is its own.
    victims.iter_mut().for_each(|victim| assert_eq!(victim.line(), ""));
    let recorded = recording.stop();
    for victim in &victims {
        let fault = fault(&recorded, &victim.pid().into());
        assert_eq!((&fault["kind"], &fault["how"]), (&"null".into(), &"dies".into()), "{fault:#}");
        assert_passes(&stack(fault), &CALLERS);
        death(&recorded, &victim.pid().into());
    }
}

#[test]
fn who_was_there_before_and_dies_at_once_has_its_stack() {
    if !can_run("who_was_there_before_and_dies_at_once_has_its_stack", &[]) {
        return;
    }
    for round in 0..5 {
        let victims: Vec<Workload> = (0..4).map(|_| Workload::start(&["die"])).collect();
        let pids: Vec<String> = victims.iter().map(|victim| victim.pid().to_string()).collect();
        let mut options: Vec<&str> = pids.iter().flat_map(|pid| ["--pid", pid.as_str()]).collect();
        if round % 2 == 0 {
            options.extend(["--probe", "crash"]);
        }
        assert_told_at_once(victims, &options);
    }
    let path = format!("prof-crash-{}", std::process::id());
    let cgroup = ["", "memory"].iter().find_map(|controller| Cgroup::make(controller, &path)).unwrap();
    for _ in 0..2 {
        let victims: Vec<Workload> = (0..4).map(|_| Workload::start(&["die"])).collect();
        victims.iter().for_each(|victim| cgroup.adopt(victim.pid()));
        assert_told_at_once(victims, &["--cgroup", cgroup.dir.to_str().unwrap()]);
    }
}

#[test]
fn a_container_s_process_that_dies_at_once_has_its_container() {
    let test = "a_container_s_process_that_dies_at_once_has_its_container";
    for round in 0..3 {
        let Some(stage) = Stage::set(test) else { return };
        let (name, program) = (format!("frail-{}-{round}", std::process::id()), stage.program("frail"));
        let mut shell = stage.shell("frail");
        let command = ["sh", "-c", &shell.script];
        let Some(container) = Runc::run_with(test, &name, &command, &[stage.dir()]) else { return };
        shell.is_up();
        shell.begin(&format!("exec {program} --wait die"));
        let said = stage.dir().join("frail.out");
        wait_for("the victim", || std::fs::read_to_string(&said).ok()?.contains("ready").then_some(()));
        let pid = container.pid;
        let recording = Recording::start(&["--pid", &pid.to_string(), "--probe", "crash"]);
        shell.begin("");
        let status = format!("/proc/{pid}/status");
        wait_for("its end", || {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            (status.is_empty() || status.contains("State:\tZ")).then_some(())
        });
        let recorded = recording.stop();
        let (fault, death) = (fault(&recorded, &pid.into()), death(&recorded, &pid.into()));
        assert_eq!(
            (&fault["container"], &death["container"]),
            (&name.as_str().into(), &name.as_str().into())
        );
        assert_passes(&stack(fault), &CALLERS);
    }
}
