//! Backends: the parts of one way to attach a probe.
//!
//! In: nothing. Out: the types of a probe's row in the plan: `plan.rs` in the probe's folder holds the row itself.
//! A new backend is a new entry there; `check`, the capture's header and the pictures follow.

use super::facts::Facts;
use super::hooks::Hooks;
use super::needs::Need;
use crate::probe::Probe;
use crate::profile::ledger::Class;

/// One mechanism for one probe.
#[derive(Debug)]
pub struct Backend {
    /// The probe it serves.
    pub probe: Probe,
    /// Which part of that probe.
    pub part: ProbePart,
    /// Its name in output and in `--backend`.
    pub name: &'static str,
    /// Its programs, and where they go.
    pub hooks: Hooks,
    /// What it takes.
    pub needs: &'static [Need],
    /// Whether it misses so much on a machine that every other candidate goes first.
    pub blind: fn(&Facts) -> bool,
    /// What it does not see.
    pub misses: &'static [Miss],
    /// Backends that run beside it if the machine allows it.
    pub extras: &'static [Extra],
    /// Whether this version has it. Backends that it does not have are listed as such, and never chosen.
    pub built: bool,
}

impl PartialEq for Backend {
    fn eq(&self, other: &Self) -> bool {
        (self.probe, self.part, self.name) == (other.probe, other.part, other.name)
    }
}

impl Eq for Backend {}

/// A part of a probe that has a backend of its own.
#[derive(Clone, Copy, Debug)]
pub struct ProbePart {
    /// The name users type behind the probe's; empty for the whole.
    pub name: &'static str,
    /// What is missed if this part does not run; empty if the part is the whole probe.
    pub without: &'static str,
    /// The other probe without which nobody needs this part; none: it is of use by itself.
    pub with: Option<Probe>,
}

impl ProbePart {
    /// All of the probe.
    pub const WHOLE: Self = Self { name: "", without: "", with: None };

    /// What users type for it: `lock.spin`.
    pub fn of(self, probe: Probe) -> String {
        match self.name {
            "" => probe.name().to_owned(),
            name => format!("{probe}.{name}"),
        }
    }
}

impl PartialEq for ProbePart {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ProbePart {}

/// What else a probe has attached, beside its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// System calls: what its rows belong to, and those in flight.
    Calls,
    /// Wakeups and switches.
    Switches,
    /// Interrupts on top of calls.
    Interrupts,
    /// CPU samples, with or without rows of their own.
    Samples,
    /// What each thread received last, and from whom.
    Receives,
}

/// A probe's half in the kernel.
#[derive(Debug)]
pub struct KernelSide {
    /// Maps that only some probes fill: made small where none of those runs.
    pub maps: &'static [&'static str],
    /// The read-only global that is 1 while the probe runs; none if its programs serve no other probe.
    pub rows: Option<&'static str>,
    /// What else it has attached.
    pub beside: &'static [Beside],
    /// Runs of its programs that the kernel skipped.
    pub skipped: Class,
    /// Names of hooks that are attached beside it; if the kernel refuses one, that is a miss of this probe.
    pub notes: &'static [&'static str],
}

/// All that planning and attaching know of a probe.
#[derive(Debug)]
pub struct ProbeRow {
    /// Which.
    pub probe: Probe,
    /// Its parts, in the order they are shown.
    pub parts: &'static [ProbePart],
    /// Ways to attach it, best first within a part.
    pub backends: &'static [Backend],
    /// Its half in the kernel.
    pub kernel: KernelSide,
}

/// An addition to a backend, without which the probe still runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Extra {
    /// Its name in output.
    pub name: &'static str,
    /// Where it hooks.
    pub attach: &'static [&'static str],
    /// What it takes.
    pub needs: &'static [Need],
    /// What is missed when it cannot run.
    pub without: &'static str,
    /// What is missed when it runs.
    pub misses: &'static [Miss],
}

/// One sentence about what a backend does not see, and where it holds.
#[derive(Debug)]
pub struct Miss {
    /// Whether it holds on a machine.
    pub applies: fn(&Facts) -> bool,
    /// The sentence.
    pub text: &'static str,
}

impl PartialEq for Miss {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Miss {}

/// A miss everywhere.
pub const fn always(text: &'static str) -> Miss {
    Miss { applies: |_| true, text }
}

/// Blind nowhere.
pub const fn seeing(_: &Facts) -> bool {
    false
}
