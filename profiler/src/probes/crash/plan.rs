//! `crash`: how it is attached.
//!
//! Hooks: the raw tracepoint `signal_deliver`. Out: its row of the plan.

use crate::plan::backend::{Backend, Beside, KernelSide, ProbePart, ProbeRow, always, seeing};
use crate::plan::hooks::Hooks;
use crate::plan::needs::Need;
use crate::probe::Probe;
use crate::profile::ledger::Class;

const BACKENDS: &[Backend] = &[Backend {
    probe: Probe::Crash,
    part: ProbePart::WHOLE,
    name: "raw-tracepoint",
    hooks: Hooks::RawTracepoints(&[("crash_deliver", "signal_deliver")]),
    needs: &[Need::LoadPrograms, Need::Btf],
    blind: seeing,
    misses: &[always("Libraries that a process mapped in its last moments: their frames have no file.")],
    extras: &[],
    built: true,
}];

/// Its row.
pub const ROW: ProbeRow = ProbeRow {
    probe: Probe::Crash,
    parts: &[ProbePart::WHOLE],
    backends: BACKENDS,
    kernel: KernelSide {
        maps: &["CAUGHT", "PEER_TASKS"],
        rows: Some("CRASH_ROWS"),
        beside: &[Beside::Calls, Beside::Receives],
        skipped: Class::FaultRecursionMiss,
        notes: &["receives"],
    },
};
