//! The profile: what one session measured, in user-space terms; a leaf that every stage shares.
//!
//! In: [`Chunk`]s, in the order they were recorded (live or replayed).
//! Out: [`Profile`], from which everything is rendered.

pub mod axis;
pub mod call;
pub mod chunk;
pub mod context;
pub mod cost;
pub mod deaths;
pub mod environment;
pub mod estimate;
pub mod file_kind;
pub mod folding;
pub mod folds;
pub mod foremost;
pub mod histogram;
pub mod in_flight;
pub mod ledger;
pub mod lock_kind;
pub mod lsm_site;
pub mod measured;
pub mod module;
mod packed;
pub mod parts;
pub mod peer;
pub mod presence;
pub mod process;
pub mod row_set;
pub mod rows;
pub mod slowest;
pub mod stack;
pub mod stack_copy;
pub mod target;
pub mod wait;
pub mod waits;

use std::collections::HashSet;

use crate::probe::each_probe;
use folding::{Folding, Keys as _};
use row_set::RowSet as _;

pub use axis::TimeAxis;
pub use chunk::{Chunk, End, Header, Interval, ProbePlan};
pub use cost::{Cost, ProgramCost};
pub use deaths::{Death, Deaths};
pub use environment::{CgroupLimits, Counters, Environment};
pub use histogram::Histogram;
pub use ledger::{Class, Ledger, LossKind};
pub use parts::{Part, Parts};
pub use presence::{Absence, Presence, PresenceChange};
pub use process::{NAMELESS, Pid, Process, ProcessTable, Tid};
pub use rows::{
    CpuRow, CpuRows, Holder, HolderRow, InFlightCall, LockRow, LockRows, LsmRows, LsmSite, SlowRow,
    SyscallRow, SyscallRows,
};
pub use stack::{Cut, Frame, FrameId, FrameSpace, Reason, Resolution, StackId, StackTable};
pub use stack_copy::{OtherStack, StackCopy};
pub use target::TargetNote;
pub use waits::{Wait, WaitRows};

/// Intervals at least this long were read late, ns: they are about a second.
const PAUSE_NS: u64 = 2_000_000_000;
/// Pauses kept at most.
const PAUSES: usize = 64;

macro_rules! profile {
    ($($probe:ident $name:ident [$($picture:tt)*],)*) => {
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
            $(
                /// The rows of the probe of this name.
                pub $name: crate::probes::$name::rows::Rows,
            )*
            /// The slowest calls, the longest first.
            pub slowest: Vec<slowest::SlowestCall>,
            /// What happened when.
            pub axis: TimeAxis,
            /// Waits off the CPU.
            pub waits: WaitRows,
            /// When the target was there.
            pub presence: Presence,
            /// Processes of it that failed or were killed.
            pub deaths: Deaths,
            /// Calls in flight when recording ended.
            pub in_flight: Vec<InFlightCall>,
            /// Everything lost, and the classes beside it.
            pub ledger: Ledger,
            /// What measuring cost.
            pub cost: Cost,
            /// Begin and end of intervals that were read late, ns since the start of the session.
            pub pauses: Vec<(u64, u64)>,
            /// Set when the capture's tail is missing: what is known of it, as one sentence.
            pub missing_tail: Option<String>,
        }

        impl Profile {
            /// Adds an interval, taken apart without `..`: nothing of it is forgotten.
            fn apply_interval(&mut self, interval: Interval) {
                self.axis.add(&interval);
                let Interval {
                    start_ns,
                    end_ns,
                    processes,
                    modules,
                    frames,
                    stacks,
                    $($name,)*
                    slowest,
                    cuts,
                    waits,
                    presence,
                    deaths,
                    ledger,
                    counters,
                    ended,
                } = interval;
                self.duration_ns = self.duration_ns.max(end_ns);
                self.note_pause(start_ns, end_ns);
                processes.into_iter().for_each(|process| self.processes.see(process));
                self.stacks.extend(modules, frames, stacks);
                self.stacks.note_cuts(cuts);
                $(self.$name.add(&$name);)*
                self.slowest.extend(slowest);
                slowest::keep_longest(&mut self.slowest);
                self.waits.add(&waits);
                self.presence.extend(presence);
                // A recording counts what it keeps no room for; of more in a capture nobody is to blame but its maker.
                let _ = self.deaths.extend(deaths);
                self.ledger.add(&ledger);
                self.header.environment.at_end.extend(counters);
                if !ended.is_empty() {
                    self.fold_ended(&ended);
                }
            }

            /// Sums up processes that have ended: those of one name and container become one row.
            fn fold_ended(&mut self, ended: &[Pid]) {
                let folding = Folding::new(ended, &mut self.processes, &mut self.stacks);
                $(self.$name.rekey(&folding);)*
                self.waits.rekey(&folding);
                // The slowest calls keep their processes, and need stacks that stay.
                self.slowest.iter_mut().for_each(|call| call.user = folding.user(call.pid, call.user));
                self.ledger.count(Class::ProcessFolded, folding.processes());
                self.ledger.count(Class::StackDropped, folding.finish());
                self.processes.forget_folded(&self.slowest.iter().map(|call| call.pid).collect());
            }

            /// Calls `each` with all stacks that rows refer to.
            fn row_stacks(&self, each: &mut dyn FnMut(StackId)) {
                $(self.$name.stacks(each);)*
                self.waits.stacks(each);
            }

            /// Memory that the rows take, bytes.
            pub fn weigh_rows(&self) -> u64 {
                let probes = [$(self.$name.weigh(),)*];
                probes.into_iter().fold(self.waits.weigh(), u64::saturating_add)
            }
        }
    };
}

each_probe!(profile);

impl Profile {
    /// Adds one chunk.
    pub fn apply(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Header(header) => self.header = *header,
            Chunk::Interval(interval) => self.apply_interval(*interval),
            Chunk::Symbols(symbols) => {
                let cut = self.stacks.resolve(symbols);
                self.ledger.count(Class::InlinedCut, cut);
            }
            Chunk::End(end) => self.apply_end(*end),
        }
    }

    /// Stacks that rows refer to and whose frames never arrived.
    pub fn stacks_without_frames(&self) -> usize {
        let mut lost: HashSet<StackId> = HashSet::new();
        self.row_stacks(&mut |stack| {
            if stack != StackId::NONE && self.stacks.frames(stack).is_none() {
                lost.insert(stack);
            }
        });
        lost.len()
    }

    /// Keeps an interval that was read late. The first one has the attaching in it.
    fn note_pause(&mut self, start_ns: u64, end_ns: u64) {
        let late = start_ns > 0 && end_ns.saturating_sub(start_ns) >= PAUSE_NS;
        if late && self.pauses.len() < PAUSES {
            self.pauses.push((start_ns, end_ns));
        }
    }

    fn apply_end(&mut self, end: End) {
        let End { duration_ns, in_flight, ledger, cost, limits, counters } = end;
        self.duration_ns = duration_ns;
        self.in_flight = in_flight;
        self.ledger.add(&ledger);
        self.cost = cost;
        self.header.limits.extend(limits);
        // What is gone by now (a container's cgroup) stays as it was last.
        self.header.environment.at_end.extend(counters);
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
