//! The probes a user may name: a leaf.
//!
//! In: nothing. Out: [`Probe`], [`Probes`], and [`Picture`]: what can be drawn of them.

/// Which probes run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// System calls.
    pub syscall: bool,
    /// Lock waits.
    pub lock: bool,
    /// Time in the security layer.
    pub lsm: bool,
    /// Waits that block.
    pub offcpu: bool,
    /// Waits for a CPU.
    pub runq: bool,
    /// CPU samples.
    pub cpu: bool,
}

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// System calls.
    Syscall,
    /// Lock waits.
    Lock,
    /// Time in the security layer.
    Lsm,
    /// Waits that block.
    Offcpu,
    /// Waits for a CPU.
    Runq,
    /// CPU samples.
    Cpu,
}

impl Probes {
    /// All of them.
    pub const ALL: Self = Self { syscall: true, lock: true, lsm: true, offcpu: true, runq: true, cpu: true };
}

impl Probe {
    /// All probes, in the order they are shown.
    pub const ALL: [Self; 6] = [Self::Syscall, Self::Lock, Self::Lsm, Self::Offcpu, Self::Runq, Self::Cpu];

    /// Its one name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syscall => "syscall",
            Self::Lock => "lock",
            Self::Lsm => "lsm",
            Self::Offcpu => "offcpu",
            Self::Runq => "runq",
            Self::Cpu => "cpu",
        }
    }
}

/// One picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// That of a probe.
    Probe(Probe),
    /// Slow system calls by part of their wall time.
    Latency,
    /// Waits that block with who ended them.
    Wakers,
}
