//! `peer`: how it is attached.
//!
//! Hooks: a BTF tracepoint where TCP hands out data; one where a socket is given data or, on older kernels,
//! the entry of `tcp_sendmsg`. Out: its row of the plan.

use crate::plan::backend::{Backend, Beside, KernelSide, ProbePart, ProbeRow, always, seeing};
use crate::plan::hooks::{Hooks, RECEIVES};
use crate::plan::needs::Need;
use crate::probe::Probe;
use crate::profile::ledger::Class;

/// Sends, by which CPU time is believed to be for a peer, or is not.
pub const SEND: ProbePart = ProbePart {
    name: "send",
    without: "Whose CPU time it is: without sends nothing tells whether threads work for whom they received from.",
    with: Some(Probe::Cpu),
};

const BACKENDS: &[Backend] = &[
    Backend {
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
    },
    Backend {
        probe: Probe::Peer,
        part: SEND,
        name: "send-length",
        hooks: Hooks::BtfTracepoints(&["sock_send_length"]),
        needs: &[Need::LoadPrograms, Need::Btf, Need::ReadKernelMemory, Need::SendLength],
        blind: seeing,
        misses: &[],
        extras: &[],
        built: true,
    },
    Backend {
        probe: Probe::Peer,
        part: SEND,
        name: "sendmsg",
        hooks: Hooks::Entry("tcp_sendmsg_entry", "tcp_sendmsg"),
        needs: &[
            Need::LoadPrograms,
            Need::Btf,
            Need::ReadKernelMemory,
            Need::SleepingTrampolines,
            Need::Trampolines,
        ],
        blind: seeing,
        misses: &[always("Sends by sendfile, which are not compared with what was received.")],
        extras: &[],
        built: true,
    },
];

/// Its row.
pub const ROW: ProbeRow = ProbeRow {
    probe: Probe::Peer,
    parts: &[ProbePart::WHOLE, SEND],
    backends: BACKENDS,
    kernel: KernelSide {
        maps: &["PEERS", "PEER_TASKS", "PEER_SAMPLES", "PEER_SENDS"],
        rows: Some("PEER_ROWS"),
        beside: &[Beside::Calls, Beside::Switches],
        skipped: Class::PeerRecursionMiss,
        notes: &[],
    },
};
