//! What to attach, for whom.
//!
//! In: nothing. Out: [`Request`].

use std::time::Duration;

use profiler_common::glob::Glob;

use super::lsm::LsmRequest;
use super::object::Object;
use super::offsets::Hierarchy;
use crate::probe::Probes;

/// What to attach, for whom.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which probes.
    pub probes: Probes,
    /// What of the security layer is timed, by the probe that times it.
    pub lsm: Option<LsmRequest>,
    /// Slow-call threshold; zero = every call.
    pub slow: Duration,
    /// Samples per second and CPU.
    pub frequency_hz: u64,
    /// Frames after which the kernel cuts a stack; at most a record's.
    pub stack_frames: u32,
    /// Bytes of a user stack that are copied at most, to be unwound by tables; `None`: none are.
    pub copy_bytes: Option<u32>,
    /// CPUs to measure; `None` = all.
    pub cpus: Option<Vec<u32>>,
    /// The kernel side to load.
    pub object: Object,
    /// Who is measured.
    pub filter: Filter,
    /// Print the verifier's log when a program is refused.
    pub verbose: bool,
    /// Follow what the kernel side logs.
    pub log: bool,
}

/// Who is measured: kinds AND, entries OR, empty = everybody.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Processes, and their children from now on.
    pub tgids: Vec<u32>,
    /// Cgroups in `hierarchy`, with everything below.
    pub cgroups: Vec<Place>,
    /// That hierarchy by the kernel's number; 0: v2.
    pub hierarchy_number: u32,
    /// Tell of new cgroups, too, which may be the target's by their names.
    pub by_name: bool,
    /// The hierarchy that `cgroups` (and the containers of a whole machine) live in.
    pub hierarchy: Hierarchy,
    /// Command names.
    pub comms: Vec<String>,
    /// Patterns on threads' names.
    pub threads: Vec<Glob>,
}

/// A cgroup of the target: the instance there is, and the path under which the next one comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its id; [`profiler_common::follow::NO_ID`]: none yet.
    pub id: u64,
    /// Its level.
    pub level: u32,
    /// Its path from the hierarchy's root; empty: not known yet.
    pub path: String,
    /// When a new instance counts, see [`profiler_common::follow::begins`].
    pub begins: u32,
}
