//! The loss ledger: every event that is not in the rows, by class, with its population.
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
    /// No loss, but a class that could be mistaken for one.
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

/// The population that a class is a share of.
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
    /// Disk requests that completed.
    Requests,
    /// Stacks taken.
    Stacks,
    /// Frames seen.
    Frames,
    /// Weight of a picture, in its own unit.
    Weight,
    /// No population to compare with.
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
    PartsImplausible = "calls whose times contradict each other", Discarded, of Calls;
    /// Slices of a call whose begin or end was not seen.
    SwitchMissed = "slices of calls and waits in which a switch was not seen", Lost, of None;
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
    LsmNestingFull = "LSM functions given up because the record of their thread was full", Lost, of LsmReturns;
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
    /// No room for who held a lock of user space.
    HeldRowFull = "long waits for user locks without room for their holder", Lost, of Waits;
    /// No room for a link.
    LinkRowFull = "links of wait chains without room for their row", Lost, of Waits;
    /// Two threads that wait for each other by turns.
    ChainCycle = "waits ended by a thread that had waited for the same thread: not followed in a circle", Class, of Waits;
    /// A chain of many links.
    ChainCut = "waits whose chain has more links than are kept", Class, of Waits;
    /// No room for what is remembered of threads.
    MemoryFull = "long waits of threads without room to remember them", Lost, of Waits;
    /// No room for who ran meanwhile.
    NeighbourRowFull = "neighbours on a CPU without room for their row", Lost, of Waits;
    /// Its user stack was never taken.
    WaitUserStackMissing = "long waits without their user stack: too many kinds in one call", Missing, of Waits;
    /// No room for a sample row.
    CpuRowFull = "samples without room for their row", Lost, of Samples;
    /// No room for a row of disk requests.
    BlockRowFull = "disk requests without room for their row", Lost, of Requests;
    /// Its program was at work already.
    BlockRecursionMiss = "disk requests skipped by the kernel's recursion guard", Lost, of Requests;
    /// Nobody saw it submitted.
    BlockSubmitterUnseen = "disk requests whose submitter was not seen", Missing, of Requests;
    /// The kernel keeps no times of it.
    BlockUntimed = "disk requests without times: iostats of the disk are off", Missing, of Requests;
    /// The kernel keeps no issue time of it.
    BlockIssueUntold = "disk requests whose queue and device are not told apart: no issue time", Missing, of Requests;
    /// No room for a row of receives.
    PeerRowFull = "receives that slept without room for their row", Lost, of Calls;
    /// No memory for a thread's last receive.
    PeerStateFull = "receives of threads without room for their peer", Lost, of Calls;
    /// No room for a sample's peer.
    PeerSampleRowFull = "samples without room for their peer, counted as of threads that received nothing", Lost, of Samples;
    /// No room for a process's sends.
    PeerSendRowFull = "sends not compared with receives, no room for their process", Lost, of None;
    /// Its program was at work already.
    PeerRecursionMiss = "receives skipped by the kernel's recursion guard", Lost, of Calls;
    /// CPUs that came back, or that the kernel refused to sample; ns.
    CpuUnsampledNs = "ns in which an online CPU was not sampled (upper bound)", Lost, of None;
    /// No memory for a thread's state.
    ThreadStateFull = "calls of threads without state", Lost, of Calls;
    /// Stacks of rows whose frames never arrived.
    StackRingFull = "stacks whose frames never arrived", Lost, of Stacks;
    /// Process events lost in the ring buffer.
    EventRingFull = "process events lost, ring buffer full", Lost, of None;
    /// Children of the target without room in its set.
    TargetFull = "children of the target not measured, no room for them", Lost, of None;
    /// New cgroups that may have been the target's.
    CgroupUntold = "new cgroups not told of, one may be the target's", Lost, of None;
    /// New instances of the target without room.
    InstanceUnfollowed = "new instances of the target not measured, no room beside the one there is", Lost, of None;
    /// New instances of the target found too late.
    InstanceLate = "new instances of the target measured from after their start only", Lost, of None;
    /// Deaths that were too many to be told one by one.
    DeathUntold = "processes that failed or were killed, too many to be told one by one", Dropped, of None;
    /// Where a process died was not told.
    FaultUntold = "deaths of which it is not known where", Lost, of None;
    /// Programs skipped.
    FaultRecursionMiss = "faults skipped by the kernel's recursion guard", Lost, of None;
    /// Nested deeper than a thread's state.
    LockNestingFull = "lock waits nested too deep", Lost, of LockWaits;
    /// The end of a wait never came.
    LockEndMissed = "lock waits whose end was skipped", Lost, of LockWaits;
    /// No room for a holder.
    LockOwnerFull = "lock waits without room for their holder", Lost, of LockWaits;
    /// Programs of the `syscall` probe skipped because they were already running on that CPU.
    RecursionMiss = "enters and exits skipped by the kernel's recursion guard", Lost, of Calls;
    /// The same for the `lock` probe.
    LockRecursionMiss = "lock begins and ends skipped by the recursion guard", Lost, of LockWaits;
    /// The same for the `cpu` probe.
    SampleRecursionMiss = "samples skipped by the kernel's recursion guard", Lost, of Samples;
    /// The same for the programs that follow threads.
    SwitchRecursionMiss = "switches, wakeups and interrupts skipped by the recursion guard", Lost, of None;
    /// The same for the programs that announce processes.
    ProcessRecursionMiss = "process events skipped by the recursion guard", Lost, of None;
    /// The same for programs that belong to no probe.
    UnclaimedRecursionMiss = "runs skipped by the recursion guard, of programs that belong to no probe", Lost, of None;
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
    /// More copies than the rate allows.
    StackCopyOverRate = "user stacks by frame pointers only: too many at once to copy", Missing, of Stacks;
    /// No room for a copy.
    StackCopyNoRoom = "user stacks by frame pointers only: no room for the copy", Missing, of Stacks;
    /// Nothing of it could be read.
    StackCopyUnreadable = "user stacks by frame pointers only: not in memory", Missing, of Stacks;
    /// The copy ended.
    StackCutWindow = "user stacks cut where their copy ends", Truncated, of Stacks;
    /// Another stack.
    StackCutElsewhere = "user stacks cut where they go on on another stack", Truncated, of Stacks;
    /// Neither table nor frame pointer.
    StackCutNoTable = "user stacks cut in code without unwind table and frame pointer", Truncated, of Stacks;
    /// Tables that cannot be used.
    StackCutTables = "user stacks cut where unwind tables are unreadable or lead nowhere", Truncated, of Stacks;
    /// No code there.
    StackCutUnmapped = "user stacks cut where a return address lies in no code", Truncated, of Stacks;
    /// Too many frames.
    StackCutDeep = "user stacks cut after the most frames that are kept", Truncated, of Stacks;
    /// The process was gone, or there was no time.
    StackNotUnwound = "user stacks of which only the leaf is known: process gone, or no time", Missing, of Stacks;
    /// Kernel stack cut.
    KernelStackTruncated = "kernel stacks cut, deeper than the limit of frames", Truncated, of Stacks;
    /// User stack cut.
    UserStackTruncated = "user stacks cut, deeper than the limit of frames", Truncated, of Stacks;
    /// More inlined functions than are kept at one position.
    InlinedCut = "frames cut at 64 inlined functions", Truncated, of Frames;
    /// More names than a stack is shown with.
    StackNamesCut = "stacks cut at 256 names, inlined functions included", Truncated, of Stacks;
    /// A longer name than is shown.
    NameCut = "names of functions cut at 256 bytes", Truncated, of None;
    /// More stacks than a folded file holds.
    FoldedCut = "lightest stacks left out of folded files, each of at most 20 MB", Dropped, of None;
    /// More rows than `summary.json` holds.
    SummaryCut = "lightest rows left out of summary.json, of at most 20 MB", Dropped, of None;
    /// More stacks than the page holds whole.
    PageCut = "stacks without their lightest frames in report.html, of at most 5 MB", Dropped, of None;
    /// Kernel frames without name.
    KernelFrameUnnamed = "kernel frames without a name", Missing, of Frames;
    /// User frames without name.
    UserFrameUnnamed = "user frames without a name", Missing, of Frames;
    /// Copied.
    StackCopied = "user stacks copied and unwound by tables", Class, of Stacks;
    /// Recognized.
    StackKnown = "user stacks recognized as unwound before, by all their return addresses", Class, of Stacks;
    /// 32-bit code.
    StackCopyNarrow = "user stacks of 32-bit code, by frame pointers only", Class, of Stacks;
    /// clone, fork, vfork children.
    CloneChild = "exits of new clone/fork children", Class, of None;
    /// Refused by seccomp.
    RefusedCall = "exits without an enter: refused before entry (seccomp, ptrace), or the enter was skipped", Class, of Calls;
    /// In flight at attach.
    InFlightAtAttach = "calls that began before attach and ended meanwhile", Class, of Calls;
    /// In flight at the end.
    InFlightAtEnd = "calls still in flight at the end", Class, of Calls;
    /// Died in a call.
    EndedByDeath = "calls ended by the thread's death", Class, of Calls;
    /// Interrupted, restarted, joined.
    Restarted = "interrupted calls joined with their restart", Class, of Calls;
    /// Interrupted, and left for good.
    InterruptedLeft = "interrupted calls that ended when they were left: the program went on elsewhere", Class, of Calls;
    /// Interrupted, and not followed any further.
    InterruptedTwice = "interrupted calls whose restart was not followed, another was on top", Lost, of Calls;
    /// Off the CPU without being preempted, asleep or woken.
    RunnableUnwoken = "waits for a CPU without a wakeup (signal pending, yield)", Class, of None;
    /// The kernel's account made up for them.
    SwitchRecovered = "unseen switches recovered from the scheduler's accounting", Class, of None;
    /// More turns than are remembered.
    NeighbourForgotten = "waits for a CPU longer than its history of turns: neighbours incomplete", Class, of Waits;
    /// Off the CPU already at attach.
    WaitBeforeAttach = "waits off the CPU that began before attach: their time since then", Class, of Waits;
    /// Not over when the recording ended.
    WaitOpenAtEnd = "waits off the CPU that were open at the end: their time until then", Class, of Waits;
    /// Submitted before attach.
    BlockBeforeAttach = "disk requests submitted before attach: nobody saw by whom", Class, of Requests;
    /// The kernel's own flushes.
    BlockFlush = "flushes that the kernel made for requests, in the time of those", Class, of None;
    /// Rows of others.
    BlockRowFolded = "rows of disk requests of others summed up by disk, there were too many", Class, of None;
    /// Ended well.
    FaultCaught = "faults that a handler caught", Class, of None;
    /// Ended in peace.
    PlainExit = "processes of the target that ended with exit code 0", Class, of None;
    /// A pid that came again with another process.
    PidReused = "reused pids: rows of both processes stand under the later name", Class, of None;
    /// Frames that had to wait for room in the ring buffer.
    StackDeferred = "stacks sent again, the ring buffer was full", Class, of Stacks;
    /// Processes without rows of their own any more.
    ProcessFolded = "ended processes summed up by name and container", Class, of None;
    /// Own locks, events.
    OwnLock = "contention on the profiler's own locks", Class, of LockWaits;
    /// Own locks, ns.
    OwnLockNs = "ns spent in the profiler's own locks", Class, of None;
    /// The monotonic clock stood still.
    SuspendedNs = "ns in which the machine was suspended, not in the recorded time", Class, of None;
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

    /// Takes back events of a class that turned out to be none.
    pub fn take_back(&mut self, class: Class, events: u64) {
        if let Some(total) = self.counts.get_mut(&class) {
            *total = total.saturating_sub(events);
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

    /// Events that the programs saw of the target: each cost a run or two of them.
    pub fn own_events(&self) -> u64 {
        use Population::{Calls, LockWaits, LsmReturns, Requests, Samples, Waits};
        [Calls, LockWaits, LsmReturns, Waits, Samples, Requests]
            .into_iter()
            .map(|population| self.population(population))
            .fold(0, u64::saturating_add)
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
