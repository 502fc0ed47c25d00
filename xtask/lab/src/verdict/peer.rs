//! Receives from a server that answers late, and sends to it.
//!
//! In: a run of `talk-peers`. Out: the figures, or what is wrong with them.

use anyhow::{Context as _, Result, ensure};
use judge::{bounds, summary::number};

use crate::verdict::Run;

/// Each receive has its peer; it slept no longer than the call took by the caller's clock, and for most of that.
pub fn receives(run: &Run) -> Result<String> {
    let rows = run.rows("peer");
    let of = |connected: bool, address: &str| {
        let mut found = rows.iter().filter(|row| row["connected"] == connected && row["address"] == address);
        found.next().with_context(|| format!("no row of {address}: {rows:?}"))
    };
    let row = of(true, "127.0.0.9")?;
    // The other end of the same connection.
    of(false, "127.0.0.1")?;
    let (calls, missed) = (run.truth("calls")?, run.missed(&["tcp_rcv_space_adjust"]));
    let count = number(row, "count")?;
    ensure!(
        count <= calls && (count + missed) * 100 >= calls * 99,
        "{count} of {calls} receives, {missed} missed"
    );
    let total = run.truth("total_ns")?;
    let told = bounds::between("asleep", number(row, "total_ns")?, (total * 8 / 10, total), 0)?;
    ensure!(run.folded.lines().any(|line| line.starts_with("127.0.0.9:")), "{}", run.folded);
    Ok(format!("{count} of {calls}; {told}"))
}

/// What a thread may keep to itself: it hands its sends over sixteen at a time.
const KEPT: u64 = 15;

/// Each of the two threads sends on the connection that it received from last. One of them sends once before it receives.
pub fn sends(run: &Run) -> Result<String> {
    let all = run.summary["probes"]["peer"]["sends"].as_array().context("no sends in the summary")?;
    let row = all
        .iter()
        .find(|row| row["pid"] == run.pid)
        .with_context(|| format!("none of the workload: {all:?}"))?;
    let (sends, astray, calls) = (number(row, "sends")?, number(row, "astray")?, run.truth("calls")?);
    let missed = run.missed(&["sock_send_length", "tcp_sendmsg_entry"]);
    ensure!(
        sends < 2 * calls && sends + missed + 2 * KEPT + 1 >= 2 * calls,
        "{sends} of {} sends, {missed} missed",
        2 * calls - 1
    );
    // Its program has more to do where samples have peers.
    let mut plans = run.summary["backends"].as_array().context("no backends in the summary")?.iter();
    ensure!(
        plans.any(|plan| plan["probe"] == "cpu" && plan["active"] == true),
        "no CPU samples: {:?}",
        run.summary["backends"]
    );
    ensure!(astray == 0, "{astray} of {sends} sends to another connection");
    Ok(format!("{sends} of {} sends, none astray", 2 * calls - 1))
}
