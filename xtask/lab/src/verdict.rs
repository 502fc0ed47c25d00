//! In: what the profiler found, what the workload and the kernel's own counters say. Out: a line with the figures,
//! or what is wrong with them.

pub mod blame;
pub mod crash;
pub mod disk;
pub mod memory;
pub mod parts;
pub mod peer;
pub mod security;

use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use judge::{
    bounds::{Off, between},
    summary::{self, number},
};
use serde_json::Value;

/// One recorded workload.
pub struct Run {
    /// `summary.json`, of all workloads that share the recording.
    pub summary: Rc<Value>,
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
#[derive(Clone, Copy)]
pub struct Memory {
    pub possible_cpus: u32,
    /// Of the maps that the recording has open.
    pub maps: u64,
    /// By how much all per-CPU memory of the kernel grew.
    pub per_cpu: u64,
}

/// What the kernel counted in the same window.
#[derive(Clone, Copy)]
pub struct Spins {
    /// `contention_begin` for spinlocks, where the kernel has it.
    pub contention: Option<u64>,
    /// Entries to the slow path by the workload's threads.
    pub entries: u64,
    /// The same by everybody, out of `kprobe_profile`.
    pub profile: u64,
}

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
        summary::rows(&self.summary, probe, pid)
    }

    fn call(&self, name: &str) -> Result<&Value> {
        summary::call(&self.summary, self.pid, name)
    }

    fn truth(&self, field: &str) -> Result<u64> {
        number(&self.truth, field)
    }

    /// Events that a program missed because it ran already on that CPU: known, and bounds what may lack.
    fn missed(&self, programs: &[&str]) -> u64 {
        summary::missed(&self.summary, programs)
    }

    /// Losses of the classes whose name begins so.
    fn lost(&self, prefix: &str) -> u64 {
        summary::lost(&self.summary, prefix)
    }

    /// Events of a class that is no loss.
    fn class(&self, name: &str) -> Result<u64> {
        summary::counted(&self.summary, name)
    }

    fn exact(&self, what: &str, counted: u64, truth: u64) -> Result<()> {
        summary::exact(what, counted, truth, self.missed(&["sys_enter", "sys_exit"]))
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

/// Within that share of the truth, or a millisecond.
fn near(what: &str, found: u64, truth: u64, percent: u64) -> Result<String> {
    let bound = (truth * percent / 100).max(1_000_000);
    let off = (found as f64 / truth.max(1) as f64 - 1.0) * 100.0;
    let text = format!("{what} {} µs of {} µs ({off:+.2} %)", found / 1000, truth / 1000);
    match found.abs_diff(truth).saturating_sub(bound) {
        0 => Ok(text),
        by_ns => Err(Off { what: text, by_ns }.into()),
    }
}

/// Reads answered late: counted, as long as the reader says, with the kernel's stack of the wait. What the reader had the CPU
/// may lie between its own clock and the call: an emulator that stalls it there, and the profiler's own work at the call's end.
pub fn late_reads(run: &Run) -> Result<String> {
    let row = run.call("read")?;
    run.exact("read", number(row, "count")?, run.truth("calls")?)?;
    let (total, cpu) = (run.truth("total_ns")?, run.truth("cpu_ns")?);
    let text = between("total", number(row, "total_ns")?, (total.saturating_sub(cpu), total), total / 50)?;
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
    run.exact("getppid", found, truth)?;
    Ok(format!("{found} of {truth} calls"))
}

/// The same, and errors counted by name.
pub fn fast_and_failing(run: &Run) -> Result<String> {
    let fast = fast_calls(run)?;
    let (row, truth) = (run.call("open")?, number(&run.truth["failing"], "missing")?);
    let errors = number(&row["errors"], "ENOENT")?;
    run.exact("open", errors, truth)?;
    Ok(format!("{fast}, {errors} of {truth} ENOENT"))
}

/// Threads that get the id of one that just ended inside `exit`: no call is lost, doubled, or as old as its
/// predecessor's.
pub fn heirs(run: &Run) -> Result<String> {
    let counted = number(run.call("getppid")?, "count")?;
    run.exact("getppid", counted, run.truth("getppid_calls")?)?;
    let reads = run.call("read")?;
    run.exact("read", number(reads, "count")?, run.truth("calls")?)?;
    let (longest, truth) = (number(reads, "max_ns")?, run.truth("max_ns")?);
    ensure!(longest <= truth, "a read of {longest} ns, the longest took {truth}");
    ensure!(run.lost("thread_state_full") == 0, "threads without state");
    matched(run)?;
    Ok(format!("{counted} calls of {} threads", run.truth("count")?))
}

/// Threads that exec and take over their leader's id, while the leader is inside a call that never ends.
pub fn execs(run: &Run) -> Result<String> {
    let (counted, execs) = (number(run.call("getppid")?, "count")?, run.truth("execs")?);
    run.exact("getppid", counted, run.truth("getppid_calls")?)?;
    run.exact("execve", number(run.call("execve")?, "count")?, execs)?;
    let died = run.class("ended_by_death")?;
    ensure!(died == execs, "{died} of {execs} leaders ended inside a call");
    matched(run)?;
    Ok(format!("{counted} calls around {execs} execs"))
}

/// No exit comes without its enter, but for those enters that the kernel's recursion guard skipped: from 7.0 on it does where
/// one thread is preempted inside a program and another one makes a call.
fn matched(run: &Run) -> Result<()> {
    let (refused, skipped) = (run.class("refused_call")?, run.lost("recursion_miss"));
    ensure!(refused <= skipped, "{refused} exits without an enter, {skipped} enters and exits skipped");
    Ok(())
}

/// Reads that a signal's handler leaves by a jump, the same call again right behind it: each ended where it was interrupted.
pub fn left_reads(run: &Run) -> Result<String> {
    let (row, left) = (run.call("read")?, run.truth("left")?);
    run.exact("read", number(row, "count")?, left)?;
    let failed = number(&row["errors"], "EINTR")?;
    ensure!(failed == left, "{failed} of {left} reads ended with EINTR");
    matched(run)?;
    ensure!(run.class("restarted")? == 0, "a read was joined with the next one");
    let (total, truth) = (number(row, "total_ns")?, run.truth("total_ns")?);
    ensure!(total <= truth, "reads of {total} ns, which took {truth}");
    Ok(format!("{failed} of {left} reads with EINTR"))
}

/// Waits behind a holder that stands in a page fault for a known time.
fn held(run: &Run, truth: &Value, kind: &str, callers: &[&str]) -> Result<String> {
    let (count, total) = run.waits(kind, callers);
    let rounds = number(truth, "calls")?;
    if count != rounds {
        let rows: Vec<String> = run
            .rows("lock")
            .iter()
            .take(8)
            .map(|row| format!("{} {} {} {}", row["kind"], row["lock"], row["caller"], row["count"]))
            .collect();
        bail!("{count} waits of {rounds} for a {kind}; rows: {}", rows.join("; "));
    }
    Ok(format!("{count} waits for a {kind}, {}", near("total", total, number(truth, "total_ns")?, 5)?))
}

/// The mutex of a pipe, then the rwsem of an inode, which a writer wants.
pub fn mutex_and_rwsem(run: &Run) -> Result<String> {
    let mutex = held(run, &run.truth, "mutex", PIPE_READERS)?;
    let rwsem = held(run, &run.truth["inode"], "rwsem-write", INODE_WRITERS)?;
    Ok(format!("{mutex}; {rwsem}"))
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
    // What shares the recording is sampled, too.
    let samples = |function: &str| {
        let ours = run.folded.lines().filter(|line| line.contains(function));
        ours.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
    };
    let (seventy, thirty) = (samples("burn_seventy"), samples("burn_thirty"));
    let of = |value: u64, other: u64| value as f64 * 100.0 / (value + other).max(1) as f64;
    let share = of(seventy, thirty);
    let truth = of(run.truth("seventy_ns")?, run.truth("thirty_ns")?);
    let of_workload = run.rows("cpu").into_iter().filter_map(|row| row["samples"].as_u64());
    let (all, ticks) = (of_workload.sum::<u64>(), run.ticks.context("nobody counted")?);
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
