//! `block`: how it is attached.
//!
//! Hooks: BTF tracepoints of requests that begin and end. Out: its row of the plan.

use crate::plan::backend::{Backend, KernelSide, Miss, ProbePart, ProbeRow, always, seeing};
use crate::plan::hooks::Hooks;
use crate::plan::needs::Need;
use crate::probe::Probe;
use crate::profile::ledger::Class;

/// What none of its backends sees.
const MISSES: &[Miss] = &[
    always(
        "Devices that make no requests of what they get (dm, md, zram, pmem): the devices below them are seen.",
    ),
    always(
        "How long a request waited before there was one: throttled by io.max, or for a free place in the queue.",
    ),
    always("Times of disks whose iostats are off; the queue apart from the device where wbt_lat_usec is 0."),
    Miss {
        applies: |facts| !matches!(facts.cgroup_layout, crate::machine::CgroupLayout::V2),
        text: "Whose buffered writes the kernel's own threads submit: the io controller is not in cgroup v2.",
    },
];

/// Candidates, best first.
const BACKENDS: &[Backend] = &[
    Backend {
        probe: Probe::Block,
        part: ProbePart::WHOLE,
        name: "io-start",
        // Ends first: a request whose begin is seen has its end seen, too.
        hooks: Hooks::BtfTracepoints(&["block_rq_complete", "block_io_start"]),
        needs: &[Need::LoadPrograms, Need::Btf, Need::ReadKernelMemory, Need::RequestStart],
        blind: seeing,
        misses: MISSES,
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Block,
        part: ProbePart::WHOLE,
        name: "getrq",
        hooks: Hooks::BtfTracepoints(&["block_rq_complete", "block_getrq"]),
        needs: &[Need::LoadPrograms, Need::Btf, Need::ReadKernelMemory],
        blind: seeing,
        misses: MISSES,
        extras: &[],
        built: true,
    },
];

/// Its row.
pub const ROW: ProbeRow = ProbeRow {
    probe: Probe::Block,
    parts: &[ProbePart::WHOLE],
    backends: BACKENDS,
    kernel: KernelSide {
        maps: &["BLOCK_ROWS", "SUBMITTERS"],
        rows: None,
        beside: &[],
        skipped: Class::BlockRecursionMiss,
        notes: &[],
    },
};
