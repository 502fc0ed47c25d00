//! `runq`: how it is attached.
//!
//! Hooks: the BTF tracepoints `sched_wakeup` and `sched_switch`; beside them those of system calls. Out: its row of
//! the plan.

use crate::plan::backend::{Backend, Beside, KernelSide, ProbePart, ProbeRow, always, seeing};
use crate::plan::hooks::Hooks;
use crate::plan::misses::{FEW_THREADS, KERNEL_THREADS, SCHEDULER};
use crate::probe::Probe;
use crate::profile::ledger::Class;

const BACKENDS: &[Backend] = &[Backend {
    probe: Probe::Runq,
    part: ProbePart::WHOLE,
    name: "btf-tracepoint",
    hooks: Hooks::BtfTracepoints(&["sched_wakeup", "sched_switch"]),
    needs: SCHEDULER,
    blind: seeing,
    misses: &[
        KERNEL_THREADS,
        always("Throttling of a thread that waited for a CPU before: counted as that wait."),
        FEW_THREADS,
    ],
    extras: &[],
    built: true,
}];

/// Its row.
pub const ROW: ProbeRow = ProbeRow {
    probe: Probe::Runq,
    parts: &[ProbePart::WHOLE],
    backends: BACKENDS,
    kernel: KernelSide {
        maps: &["WAITS", "NEIGHBOURS"],
        rows: Some("RUNQ_ROWS"),
        beside: &[Beside::Calls],
        skipped: Class::SwitchRecursionMiss,
        notes: &[],
    },
};
