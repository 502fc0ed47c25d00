//! In: what the profiler found, what the workload and the kernel's own counters say. Out: a line with the figures,
//! or what is wrong with them.

pub mod memory;
pub mod parts;
pub mod security;

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// One recorded workload.
pub struct Run {
    /// `summary.json`.
    pub summary: Value,
    /// The probe's folded file: every stack, where the summary has the heaviest of each row.
    pub folded: String,
    /// The workload's own account.
    pub truth: Value,
    pub pid: u32,
    pub spins: Option<Spins>,
    /// Samples that the kernel took of the workload by itself.
    pub ticks: Option<u64>,
    pub memory: Option<Memory>,
    /// The same workload beside it, not confined: its pid, and its own account.
    pub free: Option<(u32, Value)>,
}

/// What the kernel says of memory while everything is attached.
pub struct Memory {
    pub possible_cpus: u32,
    /// Of the maps that the recording has open.
    pub maps: u64,
    /// By how much all per-CPU memory of the kernel grew.
    pub per_cpu: u64,
}

/// What the kernel counted in the same window.
pub struct Spins {
    /// `contention_begin` for spinlocks, where the kernel has it.
    pub contention: Option<u64>,
    /// Entries to the slow path by the workload's threads.
    pub entries: u64,
    /// The same by everybody, out of `kprobe_profile`.
    pub profile: u64,
}

/// A time that is too far from the truth.
#[derive(Debug)]
pub struct Off(String);

impl fmt::Display for Off {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Off {}

/// Says what was found, or what is wrong.
pub type Judge = fn(&Run) -> Result<String>;

const PIPE_READERS: &[&str] = &["anon_pipe_read", "pipe_read"];
const INODE_WRITERS: &[&str] =
    &["generic_file_write_iter", "shmem_file_write_iter", "inode_lock", "__generic_file_write_iter"];

impl Run {
    fn rows(&self, probe: &str) -> Vec<&Value> {
        self.rows_of(self.pid, probe)
    }

    fn rows_of(&self, pid: u32, probe: &str) -> Vec<&Value> {
        let rows = self.summary["probes"][probe]["rows"].as_array();
        rows.into_iter().flatten().filter(|row| row["pid"] == pid).collect()
    }

    fn call(&self, name: &str) -> Result<&Value> {
        let row = self.rows("syscall").into_iter().find(|row| row["syscall"] == name);
        row.with_context(|| format!("no row of {name}"))
    }

    fn truth(&self, field: &str) -> Result<u64> {
        number(&self.truth, field)
    }

    /// Events that a program missed because it ran already on that CPU: known, and bounds what may lack.
    fn missed(&self, programs: &[&str]) -> u64 {
        let all = self.summary["cost"]["programs"].as_array();
        let ours =
            all.into_iter().flatten().filter(|cost| programs.iter().any(|name| cost["program"] == *name));
        ours.filter_map(|cost| cost["recursion_misses"].as_u64()).sum()
    }

    /// Losses of the classes whose name begins so.
    fn lost(&self, prefix: &str) -> u64 {
        let all = self.summary["losses"].as_array().into_iter().flatten();
        let ours = all.filter(|loss| loss["class"].as_str().is_some_and(|class| class.starts_with(prefix)));
        ours.filter_map(|loss| loss["count"].as_u64()).sum()
    }

    /// Events of a class that is no loss.
    fn class(&self, name: &str) -> Result<u64> {
        let mut all = self.summary["classes"].as_array().into_iter().flatten();
        number(all.find(|class| class["class"] == name).context("no such class")?, "count")
    }

    fn exact(&self, counted: u64, truth: u64) -> Result<()> {
        let missed = self.missed(&["sys_enter", "sys_exit"]);
        ensure!(
            counted <= truth && counted + missed >= truth,
            "{counted} counted of {truth}, {missed} recorded as missed"
        );
        Ok(())
    }

    /// Lock rows of a kind whose caller is one of these.
    fn waits(&self, kind: &str, callers: &[&str]) -> (u64, u64) {
        let rows = self.rows("lock").into_iter().filter(|row| row["kind"] == kind);
        let rows =
            rows.filter(|row| callers.is_empty() || callers.iter().any(|caller| row["caller"] == *caller));
        rows.fold((0, 0), |(count, total), row| {
            (count + row["count"].as_u64().unwrap_or(0), total + row["total_ns"].as_u64().unwrap_or(0))
        })
    }
}

fn number(row: &Value, field: &str) -> Result<u64> {
    row[field].as_u64().with_context(|| format!("no number {field} in {row}"))
}

/// Within that share of the truth, or a millisecond.
fn near(what: &str, found: u64, truth: u64, percent: u64) -> Result<String> {
    near_or(what, found, truth, (truth * percent / 100).max(1_000_000))
}

fn near_or(what: &str, found: u64, truth: u64, bound: u64) -> Result<String> {
    let off = (found as f64 / truth.max(1) as f64 - 1.0) * 100.0;
    let text = format!("{what} {} µs of {} µs ({off:+.2} %)", found / 1000, truth / 1000);
    if found.abs_diff(truth) <= bound { Ok(text) } else { Err(Off(text).into()) }
}

/// Reads answered late: counted, as long as the reader says, with the kernel's stack of the wait.
pub fn late_reads(run: &Run) -> Result<String> {
    let row = run.call("read")?;
    run.exact(number(row, "count")?, run.truth("calls")?)?;
    let text = near("total", number(row, "total_ns")?, run.truth("total_ns")?, 2)?;
    let slow = run.summary["probes"]["syscall"]["slow"].as_array();
    let waits = slow.into_iter().flatten().filter(|row| row["pid"] == run.pid && row["syscall"] == "read");
    let in_pipe = waits.filter(|row| row["stack"].to_string().contains("pipe_read_[k]"));
    let explained: u64 = in_pipe.filter_map(|row| row["count"].as_u64()).sum();
    ensure!(explained == run.truth("calls")?, "{explained} slow reads have pipe_read in their stack");
    Ok(format!("{explained} reads, {text}"))
}

/// Calls that sleep nowhere: every one of them counted, or known to be missed.
pub fn fast_calls(run: &Run) -> Result<String> {
    let (found, truth) = (number(run.call("getppid")?, "count")?, run.truth("calls")?);
    run.exact(found, truth)?;
    Ok(format!("{found} of {truth} calls"))
}

/// Errors counted by name.
pub fn failing_opens(run: &Run) -> Result<String> {
    let (row, truth) = (run.call("open")?, run.truth("missing")?);
    let errors = number(&row["errors"], "ENOENT")?;
    run.exact(errors, truth)?;
    Ok(format!("{errors} of {truth} ENOENT"))
}

/// Threads that get the id of one that just ended inside `exit`: no call is lost, doubled, or as old as its
/// predecessor's.
pub fn heirs(run: &Run) -> Result<String> {
    let counted = number(run.call("getppid")?, "count")?;
    run.exact(counted, run.truth("getppid_calls")?)?;
    let reads = run.call("read")?;
    run.exact(number(reads, "count")?, run.truth("calls")?)?;
    let (longest, truth) = (number(reads, "max_ns")?, run.truth("max_ns")?);
    ensure!(longest <= truth, "a read of {longest} ns, the longest took {truth}");
    ensure!(run.lost("thread_state_full") == 0, "threads without state");
    ensure!(run.class("refused_call")? == 0, "an exit without its enter");
    Ok(format!("{counted} calls of {} threads", run.truth("count")?))
}

/// Threads that exec and take over their leader's id, while the leader is inside a call that never ends.
pub fn execs(run: &Run) -> Result<String> {
    let (counted, execs) = (number(run.call("getppid")?, "count")?, run.truth("execs")?);
    run.exact(counted, run.truth("getppid_calls")?)?;
    run.exact(number(run.call("execve")?, "count")?, execs)?;
    let died = run.class("ended_by_death")?;
    ensure!(died == execs, "{died} of {execs} leaders ended inside a call");
    ensure!(run.class("refused_call")? == 0, "an exit without its enter");
    Ok(format!("{counted} calls around {execs} execs"))
}

/// Waits behind a holder that stands in a page fault for a known time.
fn held(run: &Run, kind: &str, callers: &[&str]) -> Result<String> {
    let (count, total) = run.waits(kind, callers);
    let rounds = run.truth("calls")?;
    if count != rounds {
        let rows: Vec<String> = run
            .rows("lock")
            .iter()
            .take(8)
            .map(|row| format!("{} {} {} {}", row["kind"], row["lock"], row["caller"], row["count"]))
            .collect();
        bail!("{count} waits of {rounds}; rows: {}", rows.join("; "));
    }
    Ok(format!("{count} waits, {}", near("total", total, run.truth("total_ns")?, 5)?))
}

/// The mutex of a pipe.
pub fn pipe_mutex(run: &Run) -> Result<String> {
    held(run, "mutex", PIPE_READERS)
}

/// The rwsem of an inode, wanted by a writer.
pub fn inode_rwsem(run: &Run) -> Result<String> {
    held(run, "rwsem-write", INODE_WRITERS)
}

/// Spins by the contention tracepoint: as many as the kernel counts; what that is blind to is said.
pub fn spins_by_tracepoint(run: &Run) -> Result<String> {
    let spins = run.spins.as_ref().context("nobody counted")?;
    let raw = spins.contention.context("no contention tracepoint")?;
    let (count, _) = run.waits("spin", &[]);
    let text = format!(
        "{count} waits of {raw} at the tracepoint, {} entries to the slow path ({} by everybody)",
        spins.entries, spins.profile
    );
    let missed = run.missed(&["contention_begin", "contention_end"]);
    ensure!(count > 0, "{text}: no spin at all");
    ensure!(count.abs_diff(raw) <= raw / 100 + missed, "{text}, {missed} missed");
    Ok(text)
}

/// Spins by the functions that spin: as many as the kernel's own kprobe on them was hit.
pub fn spins_by_slow_path(run: &Run) -> Result<String> {
    let spins = run.spins.as_ref().context("nobody counted")?;
    let (count, _) = run.waits("spin", &[]);
    let text = format!(
        "{count} waits of {} entries to the slow path ({} by everybody)",
        spins.entries, spins.profile
    );
    ensure!(count > 0, "{text}: no spin at all");
    ensure!(count.abs_diff(spins.entries) <= spins.entries / 100 + 3, "{text}");
    Ok(text)
}

/// Two functions that share the CPU 70 to 30.
pub fn shares(run: &Run) -> Result<String> {
    let samples = |part: &str| {
        let ours = run.folded.lines().filter(|line| line.contains(part));
        ours.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
    };
    let (seventy, thirty) = (samples("burn_seventy"), samples("burn_thirty"));
    let of = |value: u64, other: u64| value as f64 * 100.0 / (value + other).max(1) as f64;
    let share = of(seventy, thirty);
    let truth = of(run.truth("seventy_ns")?, run.truth("thirty_ns")?);
    let (all, ticks) = (samples(""), run.ticks.context("nobody counted")?);
    let hertz = number(&run.summary, "frequency_hz")?.max(1);
    let burned_ms = (run.truth("seventy_ns")? + run.truth("thirty_ns")?) / 1_000_000;
    let text = format!(
        "share {share:.1} of {truth:.1} %, {all} samples of {ticks} the kernel took ({} ticks in {burned_ms} ms)",
        burned_ms * hertz / 1000
    );
    ensure!(all.abs_diff(ticks) <= ticks / 20 && ticks >= 100, "{text}");
    ensure!((share - truth).abs() <= 5.0, "{text}");
    Ok(text)
}
