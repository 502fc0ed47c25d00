//! The `block` probe on a loop device of the test's own: no one else's requests are on it.
//!
//! In: requests past the page cache. Out: counts and times as the kernel's own account of the device (`/sys/block/…/stat`)
//! and the workload's clock have them; who filled the queue.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::host::measured;
use crate::support::live::{Recorded, Recording, Workload, number, told, workload};
use crate::support::{can_run, skipped};
use judge::{bounds, summary};
use serde_json::Value;

/// A loop device over a file of its own; gone when it drops.
struct Loop {
    device: PathBuf,
    _file: tempfile::NamedTempFile,
}

impl Loop {
    /// None where there are no loop devices.
    fn new(test: &str) -> Option<Self> {
        let file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        let made = Command::new("losetup").args(["--show", "-f"]).arg(file.path()).output().unwrap();
        let device = PathBuf::from(String::from_utf8_lossy(&made.stdout).trim());
        if !made.status.success() || !device.exists() {
            skipped(test, "there are no loop devices here");
            return None;
        }
        Some(Self { device, _file: file })
    }

    fn name(&self) -> &str {
        self.device.file_name().unwrap().to_str().unwrap()
    }

    /// Requests, merges, sectors and ms of reads and writes, …, flushes.
    fn stat(&self) -> Vec<u64> {
        let text = fs::read_to_string(format!("/sys/block/{}/stat", self.name())).unwrap();
        text.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    fn workload(&self, words: &[&str]) -> Workload {
        let mut command = Command::new(workload());
        Workload::spawn(command.args(["--wait", "--linger"]).args(words).env("WORKLOAD_DISK", &self.device))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.device).status();
    }
}

fn rows<'r>(recorded: &'r Recorded, disk: &str) -> Vec<&'r Value> {
    let rows = recorded.summary["probes"]["block"]["rows"].as_array().unwrap();
    rows.iter().filter(|row| row["disk"] == disk).collect()
}

fn sum(rows: &[&Value], kinds: &[&str], field: impl Fn(&Value) -> u64) -> u64 {
    rows.iter().filter(|row| kinds.iter().any(|kind| row["kind"] == *kind)).map(|row| field(row)).sum()
}

#[test]
fn requests_are_those_of_the_kernels_own_account() {
    let test = "requests_are_those_of_the_kernels_own_account";
    if !can_run(test, &["losetup"]) {
        return;
    }
    let Some(disk) = Loop::new(test) else { return };
    measured(test, || {
        let mut worker = disk.workload(&["disk-requests", "200", "100", "10", "512"]);
        let recording = Recording::start(&[
            "--probe",
            "block,syscall",
            "--slow",
            "1ms",
            "--pid",
            &worker.pid().to_string(),
        ]);
        let before = disk.stat();
        worker.go();
        let truth = worker.report();
        let spent: Vec<u64> = disk.stat().iter().zip(before).map(|(after, before)| after - before).collect();
        let recorded = recording.stop();
        let rows = rows(&recorded, disk.name());
        let missed = recorded.missed_by("block_rq_complete");
        let count = |kinds: &[&str]| sum(&rows, kinds, |row| number(row, "count"));
        // The kernel counts an empty write for each sync, and its own flush apart.
        told(summary::exact("reads", count(&["read"]), spent[0], missed));
        told(summary::exact("writes and syncs", count(&["write", "flush"]), spent[4], missed));
        assert_eq!((spent[0], spent[4] >= 100), (200, true), "who else is on {}?", disk.name());
        let bytes = sum(&rows, &["read", "write"], |row| number(row, "bytes"));
        assert_eq!(bytes, (spent[2] + spent[6]) * 512, "{missed} missed");
        assert_eq!(bytes, number(&truth, "bytes"));
        assert!(rows.iter().all(|row| row["pid"] == worker.pid() && row["of_target"] == true), "{rows:#?}");
        let time = |kinds: &[&str]| {
            sum(&rows, kinds, |row| number(&row["device"], "total_ns") + number(&row["queue"], "total_ns"))
        };
        let (least, most) = (number(&truth["reads"], "asleep_ns"), number(&truth["reads"], "total_ns"));
        // The account is in ms, cut off. It ends behind the request's own end, which wakes the reader: where both are on one CPU,
        // the reader runs first, some 15 µs for each read. So the account may be longer by as much as the reader ran.
        let account = spent[3] * 1_000_000;
        let from = least.min(account.saturating_sub(most - least));
        bounds::between("reads by the kernel's account", time(&["read"]), (from, account), 2_000_000)?;
        println!("{}", bounds::between("reads by their caller", time(&["read"]), (least, most), most / 20)?);
        Ok(())
    });
}

#[test]
fn who_fills_the_queue_is_named() {
    let test = "who_fills_the_queue_is_named";
    if !can_run(test, &["losetup"]) {
        return;
    }
    let Some(disk) = Loop::new(test) else { return };
    let mut neighbour = disk.workload(&["disk-storm", "4", "1024", "60000"]);
    let mut victim = disk.workload(&["disk-requests", "100", "0", "0", "4"]);
    let (pid, by) = (victim.pid(), neighbour.pid());
    let recording =
        Recording::start(&["--probe", "block,syscall,offcpu", "--slow", "1ms", "--pid", &pid.to_string()]);
    neighbour.go();
    victim.go();
    victim.report();
    let recorded = recording.stop();
    // Killed: it would go on for as long as the victim might take anywhere.
    drop(neighbour);
    let rows = rows(&recorded, disk.name());
    let of = |pid: u32| rows.iter().filter(|row| row["pid"] == pid).copied().collect::<Vec<_>>();
    assert_eq!(sum(&of(pid), &["read"], |row| number(row, "count")), 100);
    assert!(of(by).iter().all(|row| row["of_target"] == false) && !of(by).is_empty(), "{rows:#?}");
    let filled = recorded.summary["probes"]["block"]["filled"].as_array().unwrap();
    let most = filled.iter().find(|row| row["pid"] == pid && row["disk"] == disk.name()).unwrap();
    assert_eq!(most["by_pid"], by, "{filled:#?}");
    assert!(number(most, "ns") * 10 >= number(most, "of_ns") * 8, "{most}");
    assert!(recorded.stdout.contains(disk.name()), "{}", recorded.stdout);
    assert!(Path::new(&recorded.output().join("block.svg")).is_file());
}
