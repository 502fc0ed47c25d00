//! Chunks: the units in which a session is recorded, written and replayed.
//!
//! In: what `collect` drained in one interval. Out: plain serde values, no I/O.

use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::deaths::Death;
use super::environment::{Counters, Environment};
use super::folding::Keys;
use super::in_flight::InFlightCall;
use super::ledger::Ledger;
use super::lsm_site::LsmSite;
use super::presence::PresenceChange;
use super::process::{Pid, Process};
use super::row_set::RowSet as _;
use super::slowest::SlowestCall;
use super::stack::{Cut, Frame, Module, Stack, StackId, Symbols};
use super::target::TargetNote;
use crate::probe::each_probe;
use crate::probes::waits::rows::WaitRows;

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
    /// Limits of the machine that bound the recording, one sentence each.
    #[serde(default)]
    pub limits: Vec<String>,
    /// The machine.
    pub environment: Environment,
}

/// A part of the slow-call threshold: waits from there on have stacks.
const STACK_PART: u64 = 16;

impl Header {
    /// Blocked waits from this length on have stacks, ns; 0: all.
    pub const fn waits_have_stacks_from_ns(&self) -> u64 {
        self.slow_ns / STACK_PART
    }
}

/// One probe of the session: the backend it got and what that backend misses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbePlan {
    /// Its name.
    pub probe: String,
    /// The backend in use; empty when the probe could not run.
    pub backend: String,
    /// What it cannot see, or why it could not run; one sentence each.
    pub misses: Vec<String>,
    /// Whether it runs.
    pub active: bool,
}

macro_rules! interval {
    ($($probe:ident $name:ident [$($picture:tt)*],)*) => {
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
            /// Why unwound stacks end before their roots; empty in captures of versions that did not unwind.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub cuts: Vec<(StackId, Cut)>,
            $(
                /// The rows of the probe of this name; empty in captures from before it.
                #[serde(default, skip_serializing_if = "super::row_set::RowSet::is_nothing")]
                pub $name: crate::probes::$name::rows::Rows,
            )*
            /// The slowest calls one by one; empty in captures of version 1.
            #[serde(default)]
            pub slowest: Vec<SlowestCall>,
            /// Waits off the CPU.
            #[serde(default)]
            pub waits: WaitRows,
            /// The target's cgroups that came or went.
            #[serde(default)]
            pub presence: Vec<PresenceChange>,
            /// Processes of the target that failed or were killed.
            #[serde(default)]
            pub deaths: Vec<Death>,
            /// Losses and classes.
            pub ledger: Ledger,
            /// Counters that changed, as they are now: not deltas.
            #[serde(default)]
            pub counters: Counters,
            /// Processes that have ended long ago: from here on they are summed up by name and container.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub ended: Vec<Pid>,
        }

        impl Interval {
            /// Gives its rows other keys.
            pub fn rekey(&mut self, keys: &dyn Keys) {
                $(self.$name.rekey(keys);)*
                self.waits.rekey(keys);
            }
        }
    };
}

each_probe!(interval);

impl Interval {
    /// Only what later intervals refer to: processes, modules, frames and stacks. No rows, no events.
    pub fn without_rows(self) -> Self {
        let Self { start_ns, end_ns, processes, modules, frames, stacks, .. } = self;
        Self { start_ns, end_ns, processes, modules, frames, stacks, ..Self::default() }
    }
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
    /// Limits of the machine that bound the recording, known only now.
    #[serde(default)]
    pub limits: Vec<String>,
    /// The machine's counters at the end.
    pub counters: Counters,
}
