//! Kernel-side outcome counters as ledger classes.
//!
//! In: the per-CPU counters. Out: what was added since the last look.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use profiler_common::outcome::{OUTCOMES, Outcome};

use crate::profile::ledger::Population;
use crate::profile::{Class, Ledger};

/// The counters and what was read of them last.
pub struct Outcomes {
    counts: PerCpuArray<MapData, [u64; OUTCOMES]>,
    last: [u64; OUTCOMES],
}

impl Outcomes {
    /// Takes the counters out of the loaded object.
    ///
    /// # Errors
    /// An object without them.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        let map = ebpf.take_map("OUTCOME_COUNTS").context("the object has no OUTCOME_COUNTS")?;
        Ok(Self { counts: PerCpuArray::try_from(map)?, last: [0; OUTCOMES] })
    }

    /// Adds what happened since the last call to `ledger`.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn add_to(&mut self, ledger: &mut Ledger) -> Result<()> {
        let per_cpu = self.counts.get(&0, 0).context("reading the outcome counters")?;
        for &outcome in Outcome::ALL {
            let index = outcome as usize;
            let total: u64 = per_cpu.iter().map(|counts| counts[index]).sum();
            let added = total.saturating_sub(self.last[index]);
            self.last[index] = total;
            match class(outcome) {
                Some(class) => ledger.count(class, added),
                None => ledger.grow(Population::Stacks, added),
            }
        }
        Ok(())
    }
}

/// The ledger's class for an outcome; `None` for the population of stacks.
fn class(outcome: Outcome) -> Option<Class> {
    Some(match outcome {
        Outcome::Stacks => return None,
        Outcome::SyscallRowFull => Class::SyscallRowFull,
        Outcome::SlowRowFull => Class::SlowRowFull,
        Outcome::PartRowFull => Class::PartRowFull,
        Outcome::PartsImplausible => Class::PartsImplausible,
        Outcome::SwitchMissed => Class::SwitchMissed,
        Outcome::SwitchRecovered => Class::SwitchRecovered,
        Outcome::WakeupMissed => Class::WakeupMissed,
        Outcome::RunnableUnwoken => Class::RunnableUnwoken,
        Outcome::SwitchIgnored => Class::SwitchIgnored,
        Outcome::ErrorRowFull => Class::ErrorRowFull,
        Outcome::LockRowFull => Class::LockRowFull,
        Outcome::WaitRowFull => Class::WaitRowFull,
        Outcome::WaitStackRowFull => Class::WaitStackRowFull,
        Outcome::NeighbourRowFull => Class::NeighbourRowFull,
        Outcome::NeighbourForgotten => Class::NeighbourForgotten,
        Outcome::WaitUserStackMissing => Class::WaitUserStackMissing,
        Outcome::WaitBeforeAttach => Class::WaitBeforeAttach,
        Outcome::CpuRowFull => Class::CpuRowFull,
        Outcome::ThreadStateFull => Class::ThreadStateFull,
        Outcome::StackDeferred => Class::StackDeferred,
        Outcome::EventRingFull => Class::EventRingFull,
        Outcome::TargetFull => Class::TargetFull,
        Outcome::LockNestingFull => Class::LockNestingFull,
        Outcome::LockEndMissed => Class::LockEndMissed,
        Outcome::LockOwnerFull => Class::LockOwnerFull,
        Outcome::LockUnmatchedEnd => Class::LockUnmatchedEnd,
        Outcome::LsmRowFull => Class::LsmRowFull,
        Outcome::LsmStackRowFull => Class::LsmStackRowFull,
        Outcome::LsmLevelsTaken => Class::LsmLevelsTaken,
        Outcome::LsmNestingFull => Class::LsmNestingFull,
        Outcome::LsmReturnMissed => Class::LsmReturnMissed,
        Outcome::LsmUnmatchedReturn => Class::LsmUnmatchedReturn,
        Outcome::KernelStackMissing => Class::KernelStackMissing,
        Outcome::UserStackMissing => Class::UserStackMissing,
        Outcome::KernelStackTruncated => Class::KernelStackTruncated,
        Outcome::UserStackTruncated => Class::UserStackTruncated,
        Outcome::CloneChild => Class::CloneChild,
        Outcome::RefusedCall => Class::RefusedCall,
        Outcome::InFlightAtAttach => Class::InFlightAtAttach,
        Outcome::EndedByDeath => Class::EndedByDeath,
        Outcome::Restarted => Class::Restarted,
        Outcome::OwnLock => Class::OwnLock,
        Outcome::OwnLockNs => Class::OwnLockNs,
    })
}
