//! The loss ledger: everything that is not in the rows, by class, with its population.
//!
//! In: kernel-side outcome counters and user-side findings. Out: number and share per class.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The six ways to be absent, and the one that is no loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossKind {
    /// The kernel had no room.
    Lost,
    /// We had no room.
    Dropped,
    /// Implausible, thrown away.
    Discarded,
    /// A stack was cut.
    Truncated,
    /// No stack, or no name for it.
    Missing,
    /// Asked to ignore.
    Filtered,
    /// No loss: a class that must not be mistaken for one.
    Class,
}

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident, of $population:ident;)*) => {
        /// A class of the ledger.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Class { $($(#[$doc])* $name,)* }

        impl Class {
            /// All classes in the order they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it is, in words a person reads.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Which kind of loss it is.
            pub const fn kind(self) -> LossKind {
                match self { $(Self::$name => LossKind::$kind,)* }
            }

            /// What it is a share of.
            pub const fn population(self) -> Population {
                match self { $(Self::$name => Population::$population,)* }
            }
        }
    };
}

/// What a class is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Population {
    /// System calls that ended.
    Calls,
    /// Lock waits that ended.
    LockWaits,
    /// Functions of the security layer that returned.
    LsmReturns,
    /// Waits off the CPU that ended.
    Waits,
    /// CPU samples.
    Samples,
    /// Stacks taken.
    Stacks,
    /// Frames seen.
    Frames,
    /// Weight of a picture, in its own unit.
    Weight,
    /// Nothing to compare with.
    None,
}

classes! {
    /// No room for a latency row.
    SyscallRowFull = "calls without room for their row", Lost, of Calls;
    /// No room for a row of slow calls.
    SlowRowFull = "slow calls without room for their stacks", Lost, of Calls;
    /// No room for a row of parts.
    PartRowFull = "parts of slow calls without room for their row", Lost, of None;
    /// Parts that add up to more than the wall time.
    PartsImplausible = "calls whose parts exceed their wall time", Discarded, of Calls;
    /// Slices of a call whose begin or end was not seen.
    SwitchMissed = "slices of calls, and waits, cut by an unseen switch", Lost, of None;
    /// Sleeps whose end was not seen.
    WakeupMissed = "sleeps whose wakeup was not seen", Lost, of None;
    /// Switches ignored on purpose.
    SwitchIgnored = "switches ignored on purpose, for a test", Lost, of None;
    /// No room for an errno row.
    ErrorRowFull = "errors without room for their row", Lost, of Calls;
    /// No room for a lock row.
    LockRowFull = "lock waits without room for their row", Lost, of LockWaits;
    /// No room for a row of the security layer.
    LsmRowFull = "LSM functions without room for their row", Lost, of LsmReturns;
    /// No room for a stack of it; the time is in its row.
    LsmStackRowFull = "LSM stacks without room for their row", Lost, of Stacks;
    /// Programs on top of programs on top of programs.
    LsmLevelsTaken = "LSM functions that returned while another one was being noted", Lost, of LsmReturns;
    /// A thread's record was full of functions that never returned.
    LsmNestingFull = "LSM functions given up, their record was full", Lost, of LsmReturns;
    /// A function below returned first.
    LsmReturnMissed = "LSM functions whose return was missed", Lost, of LsmReturns;
    /// Programs skipped.
    LsmRecursionMiss = "LSM enters and returns skipped by the recursion guard", Lost, of LsmReturns;
    /// Returned without an enter.
    LsmUnmatchedReturn = "LSM functions that began before attach", Discarded, of LsmReturns;
    /// No room for a row of waits.
    WaitRowFull = "waits off the CPU without room for their row", Lost, of Waits;
    /// No room for the stacks of a long wait; its time is in its row.
    WaitStackRowFull = "long waits off the CPU without room for their stacks", Lost, of Waits;
    /// No room for who ran meanwhile.
    NeighbourRowFull = "neighbours on a CPU without room for their row", Lost, of Waits;
    /// Its user stack was never taken.
    WaitUserStackMissing = "long waits whose user stack was not taken, many in one call", Missing, of Waits;
    /// No room for a sample row.
    CpuRowFull = "samples without room for their row", Lost, of Samples;
    /// No memory for a thread's state.
    ThreadStateFull = "calls of threads without state", Lost, of Calls;
    /// Stacks of rows whose frames never arrived.
    StackRingFull = "stacks whose frames never arrived", Lost, of Stacks;
    /// Process events lost in the ring buffer.
    EventRingFull = "process events lost, ring buffer full", Lost, of None;
    /// Children of the target without room in its set.
    TargetFull = "children of the target not measured, no room for them", Lost, of None;
    /// Nested deeper than a thread's state.
    LockNestingFull = "lock waits nested too deep", Lost, of LockWaits;
    /// The end of a wait never came.
    LockEndMissed = "lock waits whose end was skipped", Lost, of LockWaits;
    /// No room for a holder.
    LockOwnerFull = "lock waits without room for their holder", Lost, of LockWaits;
    /// Programs of the `syscall` probe skipped because they were already running on that CPU.
    RecursionMiss = "enters and exits skipped by the kernel's recursion guard", Lost, of Calls;
    /// The same of the `lock` probe.
    LockRecursionMiss = "lock begins and ends skipped by the recursion guard", Lost, of LockWaits;
    /// The same of the `cpu` probe.
    SampleRecursionMiss = "samples skipped by the kernel's recursion guard", Lost, of Samples;
    /// The same of what follows threads.
    SwitchRecursionMiss = "switches, wakeups and interrupts skipped by the recursion guard", Lost, of None;
    /// Contention end without begin.
    LockUnmatchedEnd = "lock waits that began before attach", Discarded, of LockWaits;
    /// A row whose counters ran backwards, or a record we could not read.
    Implausible = "records that make no sense", Discarded, of None;
    /// User space had no room for another stack.
    StackDropped = "stacks over the profiler's own limit", Dropped, of Stacks;
    /// Kernel stack missing.
    KernelStackMissing = "kernel stacks missing", Missing, of Stacks;
    /// User stack missing.
    UserStackMissing = "user stacks missing", Missing, of Stacks;
    /// Kernel stack cut.
    KernelStackTruncated = "kernel stacks cut at 127 frames", Truncated, of Stacks;
    /// User stack cut.
    UserStackTruncated = "user stacks cut at 127 frames", Truncated, of Stacks;
    /// Kernel frames without name.
    KernelFrameUnnamed = "kernel frames without a name", Missing, of Frames;
    /// User frames without name.
    UserFrameUnnamed = "user frames without a name", Missing, of Frames;
    /// clone, fork, vfork children.
    CloneChild = "exits of new clone/fork children", Class, of None;
    /// Refused by seccomp.
    RefusedCall = "calls refused before entry (seccomp, ptrace)", Class, of Calls;
    /// In flight at attach.
    InFlightAtAttach = "calls that began before attach", Class, of Calls;
    /// In flight at the end.
    InFlightAtEnd = "calls still in flight at the end", Class, of Calls;
    /// Died in a call.
    EndedByDeath = "calls ended by the thread's death", Class, of Calls;
    /// Interrupted, restarted, joined.
    Restarted = "interrupted calls joined with their restart", Class, of Calls;
    /// Off the CPU without being preempted, asleep or woken.
    RunnableUnwoken = "waits for a CPU without a wakeup (signal pending, yield)", Class, of None;
    /// The kernel's account made up for them.
    SwitchRecovered = "unseen switches made up for by the scheduler's own accounts", Class, of None;
    /// More turns than are remembered.
    NeighbourForgotten = "waits for a CPU longer than the turns it remembers: neighbours in part", Class, of Waits;
    /// Off the CPU already at attach.
    WaitBeforeAttach = "waits off the CPU that began before attach", Class, of Waits;
    /// A pid that came again with another process.
    PidReused = "pids given to another process meanwhile: rows of both under its name", Class, of None;
    /// Frames that had to wait for room in the ring buffer.
    StackDeferred = "stacks sent again, the ring buffer was full", Class, of Stacks;
    /// Own locks, events.
    OwnLock = "contention on the profiler's own locks", Class, of LockWaits;
    /// Own locks, ns.
    OwnLockNs = "ns spent in the profiler's own locks", Class, of None;
    /// Interrupt waits.
    InterruptLock = "lock waits in interrupts, kept apart", Class, of LockWaits;
}

/// Counts per class and the populations they are a share of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    counts: BTreeMap<Class, u64>,
    populations: BTreeMap<Population, u64>,
}

impl Ledger {
    /// Counts `events` of a class.
    pub fn count(&mut self, class: Class, events: u64) {
        if events > 0 {
            let total = self.counts.entry(class).or_default();
            *total = total.saturating_add(events);
        }
    }

    /// Grows a population.
    pub fn grow(&mut self, population: Population, events: u64) {
        if events > 0 {
            let total = self.populations.entry(population).or_default();
            *total = total.saturating_add(events);
        }
    }

    /// Adds another ledger.
    pub fn add(&mut self, other: &Self) {
        for (&class, &events) in &other.counts {
            self.count(class, events);
        }
        for (&population, &events) in &other.populations {
            self.grow(population, events);
        }
    }

    /// Events of a class.
    pub fn get(&self, class: Class) -> u64 {
        self.counts.get(&class).copied().unwrap_or(0)
    }

    /// Size of a population.
    pub fn population(&self, population: Population) -> u64 {
        self.populations.get(&population).copied().unwrap_or(0)
    }

    /// Share of a class in its population plus itself where it is not part of it, 0..=1;
    /// `None` when there is nothing to compare with.
    pub fn share(&self, class: Class) -> Option<f64> {
        let population = self.population(class.population()).max(self.get(class));
        (class.population() != Population::None && population > 0)
            .then(|| self.get(class) as f64 / population as f64)
    }

    /// Classes that occurred, in the order they are shown.
    pub fn occurred(&self) -> impl Iterator<Item = (Class, u64)> + '_ {
        Class::ALL.iter().map(|class| (*class, self.get(*class))).filter(|(_, events)| *events > 0)
    }

    /// Real losses that occurred: everything but [`LossKind::Class`] and [`LossKind::Filtered`].
    pub fn losses(&self) -> impl Iterator<Item = (Class, u64)> + '_ {
        self.occurred().filter(|(class, _)| !matches!(class.kind(), LossKind::Class | LossKind::Filtered))
    }
}
