//! Probes: the kernel side, loaded and attached.
//!
//! In: a validated [`Request`]. Out: [`Probes`], whose maps `collect` drains, and the plan that
//! says which backend each probe got and what it misses. Detached when dropped.

mod attach;
mod backend;
mod btf;
mod floor;
mod globals;
mod log;
mod lsm;
mod object;
pub mod offsets;
mod raw;

use std::time::Duration;

pub use attach::Probes;
pub use floor::floor;
pub use globals::now_ns;
pub use lsm::site::HOOKS as LSM_HOOKS;
pub use lsm::{Lsm, LsmRequest};
pub use object::bytes as object;
pub use offsets::Hierarchy;

/// What to attach, for whom.
#[derive(Clone, Debug)]
pub struct Request {
    /// Latency rows, slow calls.
    pub syscall: bool,
    /// Lock waits.
    pub lock: bool,
    /// Time in the security layer.
    pub lsm: Option<LsmRequest>,
    /// Waits that block as rows.
    pub offcpu: bool,
    /// Waits for a CPU as rows.
    pub runq: bool,
    /// CPU samples as rows.
    pub cpu: bool,
    /// Slow-call threshold; zero = every call.
    pub slow: Duration,
    /// Samples per second and CPU.
    pub frequency_hz: u64,
    /// CPUs to measure; `None` = all.
    pub cpus: Option<Vec<u32>>,
    /// Switches to ignore on purpose, of 1,000: for the test that the accounting shows it.
    pub ignore_switches: u32,
    /// Comings to a CPU to ignore, of 1,000: for the test that the scheduler's accounts make up for them.
    pub ignore_arrivals: u32,
    /// Who is measured.
    pub filter: Filter,
    /// Print the verifier's log when a program is refused.
    pub verbose: bool,
    /// Follow what the kernel side logs.
    pub log: bool,
}

impl Request {
    /// Whether system calls are hooked, as rows or as what waits belong to.
    fn hooks_calls(&self) -> bool {
        self.syscall || self.offcpu || self.runq
    }
}

/// Who is measured: kinds AND, entries OR, empty = everybody.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Processes, and their children from now on.
    pub tgids: Vec<u32>,
    /// Cgroups as (id, level) in `hierarchy`, with everything below.
    pub cgroups: Vec<(u64, u32)>,
    /// The hierarchy that `cgroups` (and the containers of a whole machine) live in.
    pub hierarchy: Hierarchy,
    /// Command names.
    pub comms: Vec<String>,
}
