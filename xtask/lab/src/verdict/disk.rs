//! Requests of a disk that takes a known time for each.
//!
//! In: a run of `disk-requests`. Out: the figures, or what is wrong with them.

use anyhow::{Result, ensure};
use judge::{bounds, summary::number};

use crate::{disk::ANSWERS_AFTER_NS, verdict::Run};

/// Counted one by one; in the device as long as the disk takes; in queue and device no longer than the workload waited.
pub fn requests(run: &Run) -> Result<String> {
    let (mut told, mut bytes) = (Vec::new(), 0);
    for (kind, part) in [("read", "reads"), ("write", "writes")] {
        let truth = &run.truth[part];
        let calls = number(truth, "calls")?;
        let rows: Vec<_> = run.rows("block").into_iter().filter(|row| row["kind"] == kind).collect();
        ensure!(rows.len() == 1, "{} rows of {kind}", rows.len());
        let row = rows[0];
        ensure!(row["disk"] == "nullb0" && row["of_target"] == true, "{row}");
        ensure!(number(row, "count")? == calls, "{} of {calls} {kind}s", row["count"]);
        bytes += number(row, "bytes")?;
        let (device, queue) = (number(&row["device"], "total_ns")?, number(&row["queue"], "total_ns")?);
        ensure!(number(&row["device"], "count")? == calls, "{} times of {calls} {kind}s", row["device"]);
        ensure!(device >= calls * ANSWERS_AFTER_NS, "{kind}s were {device} ns in a disk that takes longer");
        // No longer than the workload waited. It may have waited longer: an emulator is slow to wake it.
        let (least, most) = (calls * ANSWERS_AFTER_NS, number(truth, "total_ns")?);
        told.push(bounds::between(kind, device + queue, (least, most), calls * 20_000)?);
    }
    ensure!(bytes == run.truth("bytes")?, "{bytes} bytes of {}", run.truth("bytes")?);
    ensure!(run.class("block_submitter_unseen")? == 0, "submitters were not seen");
    ensure!(run.folded.lines().any(|line| line.starts_with("nullb0;")), "{}", run.folded);
    Ok(told.join("; "))
}
