//! In: what the summary says of the maps' memory, beside what the kernel says. Out: whether it is so, and within the
//! bound for that many possible CPUs.

use anyhow::{Context, Result, ensure};
use judge::summary::number;

use super::{Run, fast_calls};
use crate::kernel::MANY;

/// What the maps of `syscall,lock,cpu` may take with [`MANY`] possible CPUs: docs/kernels.md says what they take.
const BOUND: u64 = 64 << 20;

/// A guest with many possible CPUs: counts are exact, and what is per CPU is bounded and told as it is.
pub fn bounded(run: &Run) -> Result<String> {
    let calls = fast_calls(run)?;
    let memory = run.memory.as_ref().context("nobody looked at the memory")?;
    ensure!(memory.possible_cpus == MANY, "{} possible CPUs", memory.possible_cpus);
    let told = number(&run.summary["cost"], "map_bytes")?;
    let text = format!(
        "{calls}; maps {} KiB of {} KiB by fdinfo, {} KiB more per-CPU memory in the kernel",
        told >> 10,
        memory.maps >> 10,
        memory.per_cpu >> 10
    );
    ensure!(told.abs_diff(memory.maps) <= told / 100, "{text}");
    ensure!(told <= BOUND, "{text}: above {} KiB", BOUND >> 10);
    Ok(text)
}
