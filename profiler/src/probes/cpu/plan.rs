//! `cpu`: how it is attached.
//!
//! Hooks: the perf event `cpu-clock` on each CPU. Out: its row of the plan.

use crate::plan::backend::{Backend, KernelSide, ProbePart, ProbeRow, always, seeing};
use crate::plan::hooks::Hooks;
use crate::plan::misses::UNNAMED;
use crate::plan::needs::Need;
use crate::probe::Probe;
use crate::profile::ledger::Class;

const BACKENDS: &[Backend] = &[
    Backend {
        probe: Probe::Cpu,
        part: ProbePart::WHOLE,
        name: "cycles",
        hooks: Hooks::Cycles,
        needs: &[Need::CycleCounter, Need::LoadPrograms],
        blind: seeing,
        misses: &[],
        extras: &[],
        built: false,
    },
    Backend {
        probe: Probe::Cpu,
        part: ProbePart::WHOLE,
        name: "cpu-clock",
        hooks: Hooks::CpuClock,
        needs: &[Need::PerfEvents, Need::LoadPrograms],
        blind: seeing,
        misses: &[
            always("Blind while interrupts are off: that time is billed to the code that turns them on."),
            UNNAMED,
        ],
        extras: &[],
        built: true,
    },
];

/// Its row.
pub const ROW: ProbeRow = ProbeRow {
    probe: Probe::Cpu,
    parts: &[ProbePart::WHOLE],
    backends: BACKENDS,
    kernel: KernelSide {
        maps: &["SAMPLES"],
        rows: Some("CPU_ROWS"),
        beside: &[],
        skipped: Class::SampleRecursionMiss,
        notes: &[],
    },
};
