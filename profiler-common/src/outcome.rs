//! Every way in which the kernel side can lose, cut or class an event: one closed list, declared once.
//!
//! In: nothing. Out: [`Outcome`], the index into the per-CPU `OUTCOMES` counters, which user
//! space matches without a catch-all arm.

/// Calls a macro with all outcomes in counter order: the population of stacks, then one name for each, with its text.
#[macro_export]
macro_rules! each_outcome {
    ($then:ident) => {
        $then! {
            /// Stacks taken (the population the stack losses are a share of).
            Stacks,
            /// Lost: no room for a new latency row.
            SyscallRowFull,
            /// Lost: no room for a new row of slow calls.
            SlowRowFull,
            /// Lost: no room for a new row of parts.
            PartRowFull,
            /// Discarded: parts that add up to more than their call's wall time; all of it is unaccounted.
            PartsImplausible,
            /// Lost: a switch of a thread inside a call was not seen (known from the kernel's own count).
            SwitchMissed,
            /// Class, no loss: no program saw that a thread was switched in; the scheduler's own accounting
            /// of the thread filled the gap.
            SwitchRecovered,
            /// Lost: a sleep inside a call ended and its wakeup was not seen.
            WakeupMissed,
            /// Class, no loss: a thread about to sleep in a call kept running for a pending signal, or yielded: its
            /// wait for a CPU had no wakeup.
            RunnableUnwoken,
            /// Lost: switches ignored on purpose, to test the accounting.
            SwitchIgnored,
            /// Lost: no room for a new errno row.
            ErrorRowFull,
            /// Lost: no room for a new lock row.
            LockRowFull,
            /// Lost: no room for a new row of waits off the CPU.
            WaitRowFull,
            /// Lost: no room for the stacks of long waits; their time is in the rows.
            WaitStackRowFull,
            /// Lost: no room for who held a lock of user space; the time of the wait is in its row.
            HeldRowFull,
            /// Lost: no room for a link of a wait chain.
            LinkRowFull,
            /// Class, no loss: waits ended by a thread that had waited for the same thread: that part of the chain is left out.
            ChainCycle,
            /// Class, no loss: waits whose chain has more links than are kept: it begins anew.
            ChainCut,
            /// Lost: no room for what is remembered of one more thread with long waits.
            MemoryFull,
            /// Lost: no room for who ran while others waited.
            NeighbourRowFull,
            /// Class, no loss: a wait for a CPU was longer than the turns that the CPU remembers.
            NeighbourForgotten,
            /// Missing: more kinds of long waits in one call than a thread keeps until its user stack is taken.
            WaitUserStackMissing,
            /// Class, no loss: off the CPU already at attach, for an unknown time.
            WaitBeforeAttach,
            /// Lost: no room for a new row of CPU samples.
            CpuRowFull,
            /// Lost: no memory for a thread's state, its calls go unseen.
            ThreadStateFull,
            /// Class, no loss yet: the ring buffer was full, so the frames go with the stack's next event. If
            /// they never arrive, user space finds out from the rows.
            StackDeferred,
            /// Lost: the ring buffer was full, a process event did not arrive.
            EventRingFull,
            /// Lost: no room for another child of the target, which goes unmeasured.
            TargetFull,
            /// Lost: a new cgroup was not told, the ring buffer was full or too many came in a second.
            CgroupUntold,
            /// Lost: a death was not told by itself, the ring buffer was full or too many came in a second.
            DeathUntold,
            /// Lost: where a process died was not told, the ring of faults was full, or nothing could be read.
            FaultUntold,
            /// Class, no loss: faults that a handler caught.
            FaultCaught,
            /// Class, no loss: processes of the target that ended with exit code 0.
            PlainExit,
            /// Lost: more locks nested than a thread's state holds.
            LockNestingFull,
            /// Lost: a wait whose end never came (a return that the kernel's guards skipped).
            LockEndMissed,
            /// Lost: no room for a new row of a lock's holder.
            LockOwnerFull,
            /// Discarded: a contention end without its begin (in progress at attach).
            LockUnmatchedEnd,
            /// Lost: no room for a new row of LSM time.
            LsmRowFull,
            /// Lost: no room for a new row of LSM stacks; its time is in the rows.
            LsmStackRowFull,
            /// Lost: a function returned on a CPU where its program was at work already (5.10: no guard of the kernel's).
            LsmLevelsTaken,
            /// Lost: functions entered whose returns were missed, given up when a thread's record was full.
            LsmNestingFull,
            /// Lost: functions entered whose returns were missed, found when a function below them returned.
            LsmReturnMissed,
            /// Discarded: a function returned that was not seen entered (in progress at attach).
            LsmUnmatchedReturn,
            /// Lost: no room for a new row of disk requests.
            BlockRowFull,
            /// Missing: a disk request that no program saw submitted.
            BlockSubmitterUnseen,
            /// Class, no loss: the same, submitted before attach.
            BlockBeforeAttach,
            /// Missing: a disk request whose times the kernel does not keep.
            BlockUntimed,
            /// Missing: a disk request whose issue time the kernel does not keep.
            BlockIssueUntold,
            /// Class, no loss: flushes that the kernel makes for the requests of others.
            BlockFlush,
            /// Lost: no room for a new row of receives.
            PeerRowFull,
            /// Lost: no memory for what a thread received last.
            PeerStateFull,
            /// Lost: no room for the peer of a CPU sample.
            PeerSampleRowFull,
            /// Lost: no room for how a process's sends compare.
            PeerSendRowFull,
            /// Missing: the kernel could not give the kernel stack.
            KernelStackMissing,
            /// Missing: the kernel could not give the user stack.
            UserStackMissing,
            /// Class, no loss: user stacks copied, to be unwound by tables.
            StackCopied,
            /// Class, no loss: user stacks that were unwound before, recognized by their return addresses.
            StackKnown,
            /// Missing: user stacks not copied, there were too many in a moment; frame pointers tell what they can.
            StackCopyOverRate,
            /// Missing: user stacks not copied, the ring of copies was full or this CPU has no buffer.
            StackCopyNoRoom,
            /// Missing: user stacks that could not be read.
            StackCopyUnreadable,
            /// Class, no loss: user stacks of 32-bit code, which are walked by frame pointers only.
            StackCopyNarrow,
            /// Truncated: the kernel stack is deeper than a record.
            KernelStackTruncated,
            /// Truncated: the user stack is deeper than a record.
            UserStackTruncated,
            /// Class, no loss: an exit in a thread just made by clone, fork or vfork.
            CloneChild,
            /// Class, no loss: an exit whose enter was never traced (refused by seccomp, or skipped by ptrace).
            RefusedCall,
            /// Class, no loss: calls already in flight at attach that ended while recording.
            InFlightAtAttach,
            /// Class, no loss: a thread died inside a call.
            EndedByDeath,
            /// Class, no loss: a call interrupted and restarted by the kernel, joined into one.
            Restarted,
            /// Class, no loss: an interrupted call ended when it was left, nobody came back to it.
            InterruptedLeft,
            /// Lost: the restart of an interrupted call could not be followed, another one was interrupted on top of it.
            InterruptedTwice,
            /// Class, no loss: contention on this profiler's own locks, in events.
            OwnLock,
            /// Class, no loss: contention on this profiler's own locks, in ns.
            OwnLockNs,
        }
    };
}

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One way in which an event did not become a plain row.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Outcome { $($(#[$doc])* $name,)* }

        impl Outcome {
            /// All outcomes, in counter order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

each_outcome!(outcomes);

/// How many counters there are.
pub const OUTCOMES: usize = Outcome::ALL.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_index_is_the_position_in_the_list() {
        for (index, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, index);
        }
    }
}
