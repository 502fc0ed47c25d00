//! `lsm`: how it is attached.
//!
//! Hooks: entry and return of the functions of the security layer. Out: its row of the plan.

use crate::plan::backend::{Backend, KernelSide, Miss, ProbePart, ProbeRow, always, seeing};
use crate::plan::hooks::Hooks;
use crate::plan::misses::UNNAMED;
use crate::plan::needs::Need;
use crate::probe::Probe;
use crate::profile::ledger::Class;

const LSM_MISSES: &[Miss] = &[
    always("Hooks other than those of sockets, unless --lsm-hooks names them."),
    always("Functions of a module that the compiler has put into others."),
    always("What timing a module's function costs is in the time of its hook."),
    Miss {
        applies: |facts| facts.lsms.known().is_none(),
        text: "What each module takes: which are active is unknown (is securityfs mounted?).",
    },
    UNNAMED,
];

const BACKENDS: &[Backend] = &[
    Backend {
        probe: Probe::Lsm,
        part: ProbePart::WHOLE,
        name: "fentry",
        hooks: Hooks::SecurityTrampolines,
        needs: &[Need::LoadPrograms, Need::Btf, Need::Trampolines],
        blind: seeing,
        misses: LSM_MISSES,
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Lsm,
        part: ProbePart::WHOLE,
        name: "kprobe",
        hooks: Hooks::SecurityKprobes,
        needs: &[Need::LoadPrograms, Need::Kprobes],
        blind: seeing,
        misses: LSM_MISSES,
        extras: &[],
        built: true,
    },
];

/// Its row.
pub const ROW: ProbeRow = ProbeRow {
    probe: Probe::Lsm,
    parts: &[ProbePart::WHOLE],
    backends: BACKENDS,
    kernel: KernelSide {
        maps: &["LSM_ROWS", "LSM_CACHE", "LSM_STACKS"],
        rows: None,
        beside: &[],
        skipped: Class::LsmRecursionMiss,
        notes: &[],
    },
};
