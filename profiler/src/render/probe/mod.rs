//! The probes as renderers see them: one short file each.
//!
//! In: the profile. Out: name, unit, title, and the folded paths of a probe. A new probe is a
//! new file here and one line in each `match` below.

pub mod cpu;
pub mod latency;
pub mod lock;
pub mod lsm;
pub mod offcpu;
pub mod runq;
pub mod syscall;
pub mod wakers;

use super::fold::{Folded, Folder};
use crate::profile::ledger::Population;
use crate::profile::{Header, Profile};

/// A latency source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Probe {
    /// Slow system calls, ns.
    Syscall,
    /// Lock waits, ns.
    Lock,
    /// Time in the security layer, ns.
    Lsm,
    /// Waits that block, ns.
    Offcpu,
    /// Waits for a CPU, ns.
    Runq,
    /// CPU samples.
    Cpu,
    /// Slow system calls by part of their wall time, ns.
    Latency,
    /// Waits that block with who ended them, ns.
    Wakers,
}

impl Probe {
    /// All probes, in the order they are shown.
    pub const ALL: &'static [Self] = &[
        Self::Syscall,
        Self::Lock,
        Self::Lsm,
        Self::Offcpu,
        Self::Runq,
        Self::Cpu,
        Self::Latency,
        Self::Wakers,
    ];

    /// The name in options, files and outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syscall => syscall::NAME,
            Self::Lock => lock::NAME,
            Self::Lsm => lsm::NAME,
            Self::Offcpu => offcpu::NAME,
            Self::Runq => runq::NAME,
            Self::Cpu => cpu::NAME,
            Self::Latency => latency::NAME,
            Self::Wakers => wakers::NAME,
        }
    }

    /// The probe that measures it, by name.
    pub const fn measured_by(self) -> &'static str {
        match self {
            Self::Syscall | Self::Latency => syscall::NAME,
            Self::Lock => lock::NAME,
            Self::Lsm => lsm::NAME,
            Self::Offcpu | Self::Wakers => offcpu::NAME,
            Self::Runq => runq::NAME,
            Self::Cpu => cpu::NAME,
        }
    }

    /// The unit of its weights.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Cpu => "samples",
            Self::Syscall
            | Self::Lock
            | Self::Lsm
            | Self::Offcpu
            | Self::Runq
            | Self::Latency
            | Self::Wakers => "ns",
        }
    }

    /// The picture's title, without the target.
    pub fn title(self, header: &Header) -> String {
        match self {
            Self::Syscall => syscall::title(header),
            Self::Lock => lock::TITLE.to_owned(),
            Self::Lsm => lsm::TITLE.to_owned(),
            Self::Offcpu => offcpu::title(header),
            Self::Runq => runq::TITLE.to_owned(),
            Self::Cpu => cpu::title(header),
            Self::Latency => latency::title(header),
            Self::Wakers => wakers::title(header),
        }
    }

    /// How many events it saw, and what they are called.
    pub fn events(self, profile: &Profile) -> (u64, &'static str) {
        match self {
            Self::Syscall | Self::Latency => (syscall::events(profile), "system calls"),
            Self::Lock => (lock::events(profile), "lock waits"),
            Self::Lsm => (lsm::events(profile), "LSM functions"),
            Self::Offcpu | Self::Wakers => (offcpu::events(profile), "waits"),
            Self::Runq => (runq::events(profile), "waits for a CPU"),
            Self::Cpu => (cpu::events(profile), "samples"),
        }
    }

    /// Whether a loss counted against `population` touches this probe.
    pub const fn concerns(self, population: Population) -> bool {
        match population {
            Population::Calls => matches!(self, Self::Syscall | Self::Latency),
            Population::LockWaits => matches!(self, Self::Lock),
            Population::LsmReturns => matches!(self, Self::Lsm),
            Population::Waits => matches!(self, Self::Offcpu | Self::Wakers | Self::Runq),
            Population::Samples => matches!(self, Self::Cpu),
            Population::Stacks | Population::Frames | Population::Weight | Population::None => true,
        }
    }

    /// Its rows as folded paths.
    pub fn fold(self, profile: &Profile) -> Folded {
        let mut folder = Folder::new(profile);
        match self {
            Self::Syscall => syscall::fold(profile, &mut folder),
            Self::Lock => lock::fold(profile, &mut folder),
            Self::Lsm => lsm::fold(profile, &mut folder),
            Self::Offcpu => offcpu::fold(profile, &mut folder),
            Self::Runq => runq::fold(profile, &mut folder),
            Self::Cpu => cpu::fold(profile, &mut folder),
            Self::Latency => latency::fold(profile, &mut folder),
            Self::Wakers => wakers::fold(profile, &mut folder),
        }
        folder.finish()
    }
}
