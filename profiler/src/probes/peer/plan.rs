//! `peer`: how it is attached.
//!
//! Hooks: the BTF tracepoint of data that a socket hands out. Out: its row of the plan.

use crate::plan::backend::{Backend, Beside, KernelSide, ProbePart, ProbeRow, always, seeing};
use crate::plan::hooks::{Hooks, RECEIVES};
use crate::plan::needs::Need;
use crate::probe::Probe;
use crate::profile::ledger::Class;

const BACKENDS: &[Backend] = &[Backend {
    probe: Probe::Peer,
    part: ProbePart::WHOLE,
    name: "rcv-space",
    hooks: Hooks::BtfTracepoints(RECEIVES),
    needs: &[Need::LoadPrograms, Need::Btf, Need::ReadKernelMemory],
    blind: seeing,
    misses: &[
        always("Peers by other protocols than TCP: UDP and unix sockets."),
        always(
            "For whom epoll_wait, poll, select and io_uring_enter wait: for many at once; only calls that sleep and receive themselves are rows.",
        ),
        always("Waits that end without data: the peer closed, or a time ran out."),
    ],
    extras: &[],
    built: true,
}];

/// Its row.
pub const ROW: ProbeRow = ProbeRow {
    probe: Probe::Peer,
    parts: &[ProbePart::WHOLE],
    backends: BACKENDS,
    kernel: KernelSide {
        maps: &["PEERS", "PEER_TASKS"],
        rows: Some("PEER_ROWS"),
        beside: &[Beside::Calls, Beside::Switches],
        skipped: Class::PeerRecursionMiss,
        notes: &[],
    },
};
