//! `offcpu`: how it is attached.
//!
//! Hooks: the BTF tracepoints `sched_waking`, `sched_wakeup`, `sched_switch`; beside them those of system calls. Out:
//! its row of the plan.

use crate::plan::backend::{Backend, Beside, KernelSide, ProbePart, ProbeRow, always, seeing};
use crate::plan::hooks::Hooks;
use crate::plan::misses::{FEW_THREADS, KERNEL_THREADS, SCHEDULER, UNNAMED};
use crate::probe::Probe;
use crate::profile::ledger::Class;

const BACKENDS: &[Backend] = &[Backend {
    probe: Probe::Offcpu,
    part: ProbePart::WHOLE,
    name: "btf-tracepoint",
    hooks: Hooks::BtfTracepoints(&["sched_waking", "sched_wakeup", "sched_switch"]),
    needs: SCHEDULER,
    blind: seeing,
    misses: &[
        KERNEL_THREADS,
        always("User stacks of waits outside of system calls, such as page faults."),
        FEW_THREADS,
        UNNAMED,
    ],
    extras: &[],
    built: true,
}];

/// Its row.
pub const ROW: ProbeRow = ProbeRow {
    probe: Probe::Offcpu,
    parts: &[ProbePart::WHOLE],
    backends: BACKENDS,
    kernel: KernelSide {
        maps: &["WAITS", "WAIT_STACKS", "HELD", "LINKS", "MEMORIES"],
        rows: Some("OFFCPU_ROWS"),
        beside: &[Beside::Calls],
        skipped: Class::SwitchRecursionMiss,
        notes: &[],
    },
};
