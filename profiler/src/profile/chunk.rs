//! Chunks: the units in which a session is recorded, written and replayed.
//!
//! In: what `collect` drained in one interval. Out: plain serde values, no I/O.

use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::environment::{Counters, Environment};
use super::ledger::Ledger;
use super::process::Process;
use super::rows::{CpuRows, InFlightCall, LockRows, LsmRows, LsmSite, SyscallRows};
use super::slowest::SlowestCall;
use super::stack::{Frame, Module, Stack, Symbols};
use super::target::TargetNote;
use super::waits::WaitRows;

/// One unit of a capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Chunk {
    /// First: what was asked and where.
    Header(Box<Header>),
    /// About once a second: what happened since the one before.
    Interval(Box<Interval>),
    /// Names for frames that came before.
    Symbols(Symbols),
    /// Last: in-flight calls, own cost. A capture without it is partial.
    End(Box<End>),
}

/// What was asked, and on which machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Header {
    /// Version of the tool that recorded.
    pub version: String,
    /// Its arguments, as typed.
    pub arguments: Vec<String>,
    /// Wall-clock time of the start, seconds since the Unix epoch.
    pub started_unix_s: u64,
    /// Slow-call threshold, ns (0 = every call).
    pub slow_ns: u64,
    /// CPU sampling frequency, Hz.
    pub frequency_hz: u64,
    /// CPUs measured; empty = all.
    pub cpus: Vec<u32>,
    /// Who was measured.
    pub target: TargetNote,
    /// Probes, their backends and what they miss.
    pub probes: Vec<ProbePlan>,
    /// Functions of the security layer that are measured; rows name them by position.
    #[serde(default)]
    pub lsm_sites: Vec<LsmSite>,
    /// The machine.
    pub environment: Environment,
}

/// One probe of the session: the backend it got and what that backend misses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbePlan {
    /// `syscall`, `lock`, `lsm`, `offcpu`, `runq`, `cpu`.
    pub probe: String,
    /// The backend in use; empty when the probe could not run.
    pub backend: String,
    /// What it cannot see, or why it could not run; one sentence each.
    pub misses: Vec<String>,
    /// Whether it runs.
    pub active: bool,
}

/// What happened in one interval: deltas, not totals.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Begin, ns since the start of the session.
    pub start_ns: u64,
    /// End, ns since the start of the session.
    pub end_ns: u64,
    /// Processes first seen, or renamed.
    pub processes: Vec<Process>,
    /// Modules first seen; their ids go on from the ones before.
    pub modules: Vec<Module>,
    /// Frames first seen; their ids go on from the ones before.
    pub frames: Vec<Frame>,
    /// Stacks first seen.
    pub stacks: Vec<Stack>,
    /// System calls.
    pub syscall: SyscallRows,
    /// The slowest of them one by one; empty in captures of version 1.
    #[serde(default)]
    pub slowest: Vec<SlowestCall>,
    /// Lock waits.
    pub lock: LockRows,
    /// Time in the security layer.
    #[serde(default)]
    pub lsm: LsmRows,
    /// Waits off the CPU.
    #[serde(default)]
    pub waits: WaitRows,
    /// CPU samples.
    pub cpu: CpuRows,
    /// Losses and classes.
    pub ledger: Ledger,
    /// Counters that changed, as they are now: not deltas.
    #[serde(default)]
    pub counters: Counters,
}

/// What is known only when recording ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct End {
    /// Recorded time, ns.
    pub duration_ns: u64,
    /// Calls that had not returned.
    pub in_flight: Vec<InFlightCall>,
    /// Losses found at the end (recursion misses, unsymbolized frames).
    pub ledger: Ledger,
    /// What measuring cost.
    pub cost: Cost,
    /// The machine's counters at the end.
    pub counters: Counters,
}
