//! Receives from a server that answers late.
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
