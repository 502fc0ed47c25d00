//! The attach plan: which backend each probe gets on this machine; a leaf.
//!
//! In: [`Facts`] and the table in [`backends`]. Out: one [`Assessment`] (and [`ProbePlan`]) per
//! probe: what will run, what it misses, and what stands in the way with its mend. Pure, but for
//! [`Facts::read`].

pub mod backends;
pub mod capability;
pub mod facts;
pub mod needs;
mod spinlock;
pub mod trial;

use std::fmt;

use serde::Serialize;

use crate::profile::ProbePlan;
use backends::{BACKENDS, Backend, Extra};
pub use capability::Capability;
pub use facts::Facts;
pub use needs::Need;
pub use spinlock::SpinLocks;

/// A latency source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// Slow system calls.
    Syscall,
    /// Waits for kernel locks.
    Lock,
    /// Time in the security layer.
    Lsm,
    /// What burns CPU.
    Cpu,
}

impl Probe {
    /// All probes in the order they are shown.
    pub const ALL: &'static [Self] = &[Self::Syscall, Self::Lock, Self::Lsm, Self::Cpu];

    /// The name users type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syscall => "syscall",
            Self::Lock => "lock",
            Self::Lsm => "lsm",
            Self::Cpu => "cpu",
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Something that stands in the way, and what removes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// What is missing, one phrase.
    pub cause: String,
    /// What the user does about it, one phrase.
    pub mend: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; mend: {}", self.cause, self.mend)
    }
}

/// What one probe gets on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// The probe.
    pub probe: Probe,
    /// Its backend; none when it cannot run.
    #[serde(skip)]
    pub backend: Option<&'static Backend>,
    /// Additions to the backend that will run too.
    #[serde(skip)]
    pub extras: Vec<&'static Extra>,
    /// What the backend does not see here, one sentence each.
    pub misses: Vec<String>,
    /// Why the probe, or a part of it, cannot run.
    pub obstacles: Vec<Obstacle>,
}

impl Assessment {
    /// The backend and its additions by name; empty when the probe cannot run.
    pub fn backend_name(&self) -> String {
        let extras = self.extras.iter().map(|extra| extra.name);
        self.backend.map(|backend| backend.name).into_iter().chain(extras).collect::<Vec<_>>().join(" + ")
    }

    /// What the capture's header keeps.
    pub fn note(&self) -> ProbePlan {
        let obstacles = self.obstacles.iter().map(Obstacle::to_string);
        ProbePlan {
            probe: self.probe.name().to_owned(),
            backend: self.backend_name(),
            misses: self.misses.iter().cloned().chain(obstacles).collect(),
            active: self.backend.is_some(),
        }
    }
}

/// The plan for `probes`, as the capture's header keeps it.
pub fn plan(facts: &Facts, probes: &[Probe]) -> Vec<ProbePlan> {
    probes.iter().map(|probe| assess(facts, *probe).note()).collect()
}

/// The first backend of a probe whose needs this machine meets, else what keeps its candidates.
pub fn assess(facts: &Facts, probe: Probe) -> Assessment {
    let mut obstacles = Vec::new();
    for backend in BACKENDS.iter().filter(|backend| backend.probe == probe && backend.built) {
        let unmet = unmet(facts, backend.needs);
        if unmet.is_empty() {
            return granted(facts, backend);
        }
        obstacles.extend(unmet);
    }
    obstacles.dedup();
    Assessment { probe, backend: None, extras: Vec::new(), misses: Vec::new(), obstacles }
}

fn granted(facts: &Facts, backend: &'static Backend) -> Assessment {
    let mut granted = Assessment {
        probe: backend.probe,
        backend: Some(backend),
        extras: Vec::new(),
        misses: sentences(facts, backend.misses),
        obstacles: Vec::new(),
    };
    for extra in backend.extras {
        let unmet = unmet(facts, extra.needs);
        if unmet.is_empty() {
            granted.extras.push(extra);
            granted.misses.extend(sentences(facts, extra.misses));
        } else {
            granted.misses.push(extra.without.to_owned());
            granted.obstacles.extend(unmet);
        }
    }
    granted
}

fn unmet(facts: &Facts, needs: &[Need]) -> Vec<Obstacle> {
    needs.iter().filter_map(|need| need.obstacle(facts)).collect()
}

fn sentences(facts: &Facts, misses: &[backends::Miss]) -> Vec<String> {
    misses.iter().filter(|miss| (miss.applies)(facts)).map(|miss| miss.text.to_owned()).collect()
}

#[cfg(test)]
pub(crate) mod tests;
