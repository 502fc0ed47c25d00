//! In: slow calls whose parts the workload knows from its own clocks and `schedstat`. Out: whether each part agrees.

use anyhow::{Result, ensure};
use judge::{
    bounds::{Off, between},
    summary::number,
};
use serde_json::Value;

use super::Run;

/// What a call may be off by.
const CALL_NS: u64 = 1_000_000;
/// The reads' row, whose parts add up, with all of the workload's calls in it.
fn slow_reads(run: &Run) -> Result<&Value> {
    let row = run.call("read")?;
    let (slow, calls) = (number(&row["slow"], "count")?, run.truth("calls")?);
    ensure!(slow <= calls, "{slow} slow reads of {calls}");
    if slow < calls {
        // On an emulator that waits for its host, an answer may come before the read that waits for it.
        let what = format!("{slow} slow reads of {calls}, others were answered before they began");
        return Err(Off { what, by_ns: (calls - slow) * CALL_NS }.into());
    }
    let parts = &row["parts"];
    let others = parts.as_object().into_iter().flatten().filter(|(name, _)| *name != "wall_ns");
    let sum: u64 = others.filter_map(|(_, ns)| ns.as_u64()).sum();
    let (wall, unaccounted) = (number(parts, "wall_ns")?, number(parts, "unaccounted_ns")?);
    ensure!(sum == wall, "the parts are {sum} ns of {wall} ns");
    if unaccounted * 50 > wall {
        let what = format!("{unaccounted} ns of {wall} ns are unaccounted");
        return Err(Off { what, by_ns: unaccounted - wall / 50 }.into());
    }
    Ok(row)
}

/// Sleep, waiting for a CPU and the kernel's own work, each within 5 % or a millisecond per call. A wait for the CPU on a
/// call's way out is in the caller's clocks and not in the call: the caller says how much that can be.
pub fn witnessed(run: &Run) -> Result<String> {
    let row = slow_reads(run)?;
    let (parts, calls, edge) = (&row["parts"], run.truth("calls")?, run.truth("edge_ns")?);
    let close = |what: &str, of: &[&str], truth: &str, edge: u64| -> Result<String> {
        let (mut found, most) = (0, run.truth(truth)?);
        for part in of {
            found += number(parts, part)?;
        }
        Ok(between(what, found, (most.saturating_sub(edge), most), (most / 20).max(CALL_NS * calls))?)
    };
    let told = [
        close("wall", &["wall_ns"], "wall_ns", edge)?,
        close("CPU", &["on_cpu_ns", "spin_ns", "irq_ns"], "cpu_ns", 0)?,
        close("queue", &["runnable_ns"], "delay_ns", edge)?,
        close("sleep", &["sleep_ns", "lock_sleep_ns"], "asleep_ns", 0)?,
    ];
    Ok(format!("{calls} reads, {}", told.join(", ")))
}

/// Calls that threads of SCHED_FIFO take the CPU from: none lost, and the wait is told as preemption.
pub fn preempted(run: &Run) -> Result<String> {
    let row = slow_reads(run)?;
    let (short, truth) = (number(run.call("getppid")?, "count")?, run.truth("short_calls")?);
    run.exact("getppid", short, truth)?;
    let delay = run.truth("delay_ns")?;
    ensure!(delay * 10 >= run.truth("wall_ns")?, "{delay} ns of delay are no test of it");
    // The scheduler's clock is not read again between a wakeup and the switch that it forces: the kernel counts as waiting what the
    // thread still had the CPU. That is the end of the interrupt that woke the other, told as interrupts here, and the switch itself.
    let (found, bursts) = (number(&row["runnable"], "preempted_ns")?, run.truth("bursts")?);
    let early = number(&row["parts"], "irq_ns")? + bursts * run.truth("switch_ns")?;
    let told = between("preempted", found, (delay.saturating_sub(early), delay), delay / 20)?;
    let each = early / bursts.max(1);
    Ok(format!("{short} of {truth} short calls, {told}, {bursts} bursts, each told {each} ns late at most"))
}

/// Waits in reads by a probe of waits, within 5 % or a millisecond per call.
fn waits(run: &Run, probe: &str, truth: &str, edge: u64) -> Result<String> {
    let reads = run.rows(probe).into_iter().filter(|row| row["syscall"] == "read");
    let (mut count, mut total) = (0, 0);
    for row in reads {
        count += number(row, "count")?;
        total += number(row, "total_ns")?;
    }
    ensure!(count > 0, "no wait in a read");
    let (calls, truth) = (run.truth("calls")?, run.truth(truth)?);
    let told =
        between("total", total, (truth.saturating_sub(edge), truth), (truth / 20).max(CALL_NS * calls))?;
    Ok(format!("{count} waits in {calls} reads, {told}"))
}

/// Blocked time in calls, against what the caller's clocks leave of the wall time.
pub fn blocked(run: &Run) -> Result<String> {
    waits(run, "offcpu", "asleep_ns", 0)
}

/// Waits for a CPU in calls, against the caller's `schedstat`.
pub fn queued(run: &Run) -> Result<String> {
    waits(run, "runq", "delay_ns", run.truth("edge_ns")?)
}
