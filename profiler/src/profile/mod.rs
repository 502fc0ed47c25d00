//! The profile: what one session measured, in user-space terms; a leaf that every stage shares.
//!
//! In: [`Chunk`]s, in the order they were recorded (live or replayed).
//! Out: [`Profile`], from which everything is rendered.

pub mod axis;
pub mod chunk;
pub mod cost;
pub mod environment;
pub mod histogram;
pub mod ledger;
mod packed;
pub mod parts;
pub mod process;
pub mod rows;
pub mod slowest;
pub mod stack;
pub mod target;
pub mod waits;

use std::collections::HashSet;

pub use axis::TimeAxis;
pub use chunk::{Chunk, End, Header, Interval, ProbePlan};
pub use cost::{Cost, ProgramCost};
pub use environment::{CgroupLimits, Counters, Environment};
pub use histogram::Histogram;
pub use ledger::{Class, Ledger, LossKind};
pub use parts::{Part, Parts};
pub use process::{Pid, Process, ProcessTable, Tid};
pub use rows::{
    CpuRow, CpuRows, Holder, HolderRow, InFlightCall, LockRow, LockRows, LsmRows, LsmSite, SlowRow,
    SyscallRow, SyscallRows,
};
pub use stack::{Frame, FrameId, FrameSpace, Reason, Resolution, StackId, StackTable};
pub use target::TargetNote;
pub use waits::{Wait, WaitRows};

/// A whole session: the sum of its chunks.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// What was asked and where.
    pub header: Header,
    /// Recorded time so far, ns (monotonic, from the first program attached to the last drain).
    pub duration_ns: u64,
    /// Processes seen, by pid.
    pub processes: ProcessTable,
    /// Stacks and their frames.
    pub stacks: StackTable,
    /// System calls.
    pub syscall: SyscallRows,
    /// The slowest calls, the longest first.
    pub slowest: Vec<slowest::SlowestCall>,
    /// Latencies of system calls over time.
    pub axis: TimeAxis,
    /// Lock waits.
    pub lock: LockRows,
    /// Time in the security layer.
    pub lsm: LsmRows,
    /// Waits off the CPU.
    pub waits: WaitRows,
    /// CPU samples.
    pub cpu: CpuRows,
    /// Calls in flight when recording ended.
    pub in_flight: Vec<InFlightCall>,
    /// Everything lost, and the classes beside it.
    pub ledger: Ledger,
    /// What measuring cost.
    pub cost: Cost,
    /// Set when the capture's tail is missing: what is known of it, as one sentence.
    pub missing_tail: Option<String>,
}

impl Profile {
    /// Adds one chunk.
    pub fn apply(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Header(header) => self.header = *header,
            Chunk::Interval(interval) => self.apply_interval(*interval),
            Chunk::Symbols(symbols) => self.stacks.resolve(symbols),
            Chunk::End(end) => self.apply_end(*end),
        }
    }

    /// Stacks that rows refer to and whose frames never arrived.
    pub fn stacks_without_frames(&self) -> usize {
        let slow = self.syscall.slow.keys().flat_map(|key| [key.kernel, key.user]);
        let parts = self.syscall.parts.keys().map(|key| key.kernel);
        let lock = self.lock.rows.keys().flat_map(|key| [key.kernel, key.user]);
        let cpu = self.cpu.rows.keys().flat_map(|key| [key.kernel, key.user]);
        let lsm = self.lsm.stacks.keys().flat_map(|key| [key.kernel, key.user]);
        let lost: HashSet<StackId> = slow
            .chain(parts)
            .chain(lock)
            .chain(lsm)
            .chain(self.waits.stack_ids())
            .chain(cpu)
            .filter(|stack| *stack != StackId::NONE && self.stacks.frames(*stack).is_none())
            .collect();
        lost.len()
    }

    fn apply_interval(&mut self, interval: Interval) {
        self.duration_ns = self.duration_ns.max(interval.end_ns);
        for process in interval.processes {
            self.processes.see(process);
        }
        self.stacks.extend(interval.modules, interval.frames, interval.stacks);
        self.axis.add(interval.start_ns, interval.end_ns, &interval.syscall);
        self.syscall.add(&interval.syscall);
        self.slowest.extend(interval.slowest);
        slowest::keep_longest(&mut self.slowest);
        self.lock.add(&interval.lock);
        self.lsm.add(&interval.lsm);
        self.waits.add(&interval.waits);
        self.cpu.add(&interval.cpu);
        self.ledger.add(&interval.ledger);
        self.header.environment.at_end.extend(interval.counters);
    }

    fn apply_end(&mut self, end: End) {
        self.duration_ns = end.duration_ns;
        self.in_flight = end.in_flight;
        self.ledger.add(&end.ledger);
        self.cost = end.cost;
        // What is gone by now (a container's cgroup) stays as it was last.
        self.header.environment.at_end.extend(end.counters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_a_cgroup_that_is_gone_at_the_end_stay_as_they_were_last() {
        let counters = |pairs: &[(&str, u64)]| -> Counters {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
        };
        let mut profile = Profile::default();
        let interval =
            Interval { counters: counters(&[("cgroup_periods", 5), ("forks", 1)]), ..Interval::default() };
        profile.apply(Chunk::Interval(Box::new(interval)));
        profile.apply(Chunk::End(Box::new(End { counters: counters(&[("forks", 9)]), ..End::default() })));
        assert_eq!(profile.header.environment.at_end, counters(&[("cgroup_periods", 5), ("forks", 9)]));
    }
}
