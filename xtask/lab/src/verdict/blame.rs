//! In: waits whose culprit the workload knows. Out: whether each of them names that one, and none another.

use anyhow::{Result, ensure};
use judge::summary::{number, of_pid};

use super::Run;

/// Waits for a mutex: each names the thread that held it.
pub fn holders(run: &Run) -> Result<String> {
    let rows = of_pid(&run.summary["probes"]["offcpu"]["user_lock_holders"], run.pid);
    let named: Vec<_> = rows.into_iter().filter(|row| !row["holder"].is_null()).collect();
    let (mut waits, mut total, holder) = (0, 0, run.truth("holder")?);
    for row in named {
        ensure!(row["holder"]["tid"] == holder, "thread {holder} held it: {row:#}");
        waits += number(row, "waits")?;
        total += number(row, "total_ns")?;
    }
    let (long, slept) = (run.truth("long")?, run.truth("slept")?);
    ensure!(
        long > 0 && long * 9 <= waits * 10 && waits <= slept,
        "{waits} waits name their holder, {long} to {slept} did wait"
    );
    let (total, truth) = (total / 1000, run.truth("total_ns")? / 1000);
    ensure!(total <= truth, "{total} µs of {truth} µs");
    Ok(format!("{waits} of {slept} waits by their holder, {total} µs of {truth} µs"))
}

/// Waits for a mutex whose holder reads a pipe, whose writer reads a pipe, whose writer sleeps: its root, and its share.
pub fn chain(run: &Run) -> Result<String> {
    let expected = [run.truth("middle")?, run.truth("sleeper")?];
    let rows = of_pid(&run.summary["probes"]["offcpu"]["chains"], run.pid);
    let (mut total, mut explained) = (0, 0);
    for row in rows.into_iter().filter(|row| row["syscall"] == "futex") {
        total += number(row, "total_ns")?;
        for part in row["parts"].as_array().into_iter().flatten() {
            let pids: Vec<_> =
                part["chain"].as_array().into_iter().flatten().map(|step| step["pid"].as_u64()).collect();
            if pids == [Some(u64::from(run.pid)), Some(expected[0]), Some(expected[1])] {
                explained += number(part, "ns")?;
            }
        }
    }
    let (least, most) = (run.truth("slept_ns")?, run.truth("slept_most_ns")?);
    let text = format!("{explained} of {total} ns by the whole chain, {least} to {most} ns slept");
    // Whoever waits for a CPU before it wakes the next one waits for nobody in the chain.
    ensure!(explained + total * 12 / 100 >= least && explained <= most.max(least), "{text}");
    Ok(text)
}
