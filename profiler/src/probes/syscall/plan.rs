//! `syscall`: how it is attached.
//!
//! Hooks: the raw tracepoints `sys_enter` and `sys_exit`; beside them switches, wakeups, interrupts, and samples.
//! Out: its row of the plan.

use crate::plan::backend::{Backend, Beside, Extra, KernelSide, ProbePart, ProbeRow, always, seeing};
use crate::plan::hooks::{CALLS, Hooks};
use crate::plan::misses::{FEW_THREADS, MIXED_TABLES, PREEMPTED_PROGRAMS, SCHEDULER, UNNAMED};
use crate::plan::needs::Need;
use crate::probe::Probe;
use crate::profile::ledger::Class;

const BACKENDS: &[Backend] = &[Backend {
    probe: Probe::Syscall,
    part: ProbePart::WHOLE,
    name: "raw-tracepoint",
    hooks: Hooks::RawTracepoints(CALLS),
    needs: &[Need::LoadPrograms],
    blind: seeing,
    misses: &[
        always("Calls answered in the vDSO (clock_gettime, getcpu …) never enter the kernel."),
        always("Work done by io_uring's kernel workers is no system call of the process."),
        always("Work after sys_exit (signal delivery, task work) is not in a call's latency."),
        FEW_THREADS,
        MIXED_TABLES,
        PREEMPTED_PROGRAMS,
        UNNAMED,
    ],
    extras: &[Extra {
        name: "btf-tracepoint",
        attach: &["sched_switch"],
        needs: SCHEDULER,
        without: "Slow calls have no kernel stack of their wait.",
        misses: &[],
    }],
    built: true,
}];

/// Its row.
pub const ROW: ProbeRow = ProbeRow {
    probe: Probe::Syscall,
    parts: &[ProbePart::WHOLE],
    backends: BACKENDS,
    kernel: KernelSide {
        maps: &["LATENCY", "ERRORS", "SLOW", "PARTS"],
        rows: Some("SYSCALL_ROWS"),
        beside: &[Beside::Calls, Beside::Switches, Beside::Interrupts, Beside::Samples],
        skipped: Class::RecursionMiss,
        notes: &["btf", "sched_switch", "interrupts", "in_flight"],
    },
};
