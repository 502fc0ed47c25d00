//! In: deaths and faults. Out: whether each way to die is told as what it was, with the functions that led there.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Run;

/// Ways of the workload that have a kind of their own, and the functions below.
const WAYS: [(&str, &str, &str); 6] = [
    ("null", "SIGSEGV", "die_leaf"),
    ("unmapped", "SIGSEGV", "die_leaf"),
    ("no_permission", "SIGSEGV", "die_leaf"),
    ("file_truncated", "SIGBUS", "read_truncated"),
    ("stack_overflow", "SIGSEGV", "descend"),
    ("raised", "SIGABRT", "die_leaf"),
];

impl Run {
    fn of_process<'r>(list: &'r Value, pid: &Value) -> impl Iterator<Item = &'r Value> {
        let pid = pid.clone();
        list.as_array().into_iter().flatten().filter(move |row| row["pid"] == pid)
    }

    fn fault(&self, pid: &Value) -> Result<&Value> {
        let mut faults = Self::of_process(&self.summary["probes"]["crash"]["rows"], pid);
        faults.next().with_context(|| format!("no fault of pid {pid}"))
    }

    fn pids(&self, way: &str) -> Result<&Vec<Value>> {
        self.truth[way].as_array().with_context(|| format!("no pids of {way}"))
    }
}

/// Each way to die, by kind, signal, stack and mapping; who killed, and whose handler gave up.
pub fn told(run: &Run) -> Result<String> {
    let mut right = 0;
    for (way, signal, leaf) in WAYS {
        for pid in run.pids(way)? {
            let fault = run.fault(pid)?;
            ensure!(fault["kind"] == way && fault["signal"] == signal, "{way}: {fault}");
            ensure!(fault["stack"].to_string().contains(leaf), "{way}: no {leaf} in {}", fault["stack"]);
            ensure!(fault["code_in"]["file"] == "workload", "{way}: code in {}", fault["code_in"]);
            ensure!(fault["code_in"]["access"] == "r-xp", "{way}: code in {}", fault["code_in"]);
            right += 1;
        }
    }
    for pid in run.pids("gave_up")? {
        let fault = run.fault(pid)?;
        ensure!(fault["how"] == "caught" && fault["kind"] == "null", "gave up: {fault}");
    }
    let Some(death) = Run::of_process(&run.summary["deaths"], &run.truth["killed"]).next() else {
        bail!("nobody was killed: {}", run.summary["deaths"])
    };
    ensure!(death["sender_pid"] == run.truth["killer"] && death["sender_comm"] == "assassin", "{death}");
    Ok(format!("{right} faults of {} ways to die", WAYS.len()))
}
