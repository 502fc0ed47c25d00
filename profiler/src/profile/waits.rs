//! Waits off the CPU: what the `offcpu` and `runq` probes produced.
//!
//! In: deltas of one interval. Out: totals; every wait is in a row, the long ones have stacks besides. What blocks
//! is `offcpu`'s, what waits for a CPU is `runq`'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::process::Pid;
use super::rows::CallNumber;
use super::stack::StackId;

/// What a thread off the CPU waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// Asleep, a signal would wake it.
    Sleep,
    /// Asleep, not even a signal would (`D`).
    Uninterruptible,
    /// Asleep on a kernel lock.
    Lock,
    /// Stopped, traced or frozen.
    Stopped,
    /// Woken, and waiting for a CPU.
    Woken,
    /// Taken off the CPU while it could run.
    Preempted,
    /// It could run, but its cgroup's CPU quota is used up.
    Throttled,
}

impl Wait {
    /// All of them, in the order they are shown.
    pub const ALL: [Self; 7] = [
        Self::Sleep,
        Self::Uninterruptible,
        Self::Lock,
        Self::Stopped,
        Self::Woken,
        Self::Preempted,
        Self::Throttled,
    ];

    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sleep => "asleep",
            Self::Uninterruptible => "asleep, uninterruptible",
            Self::Lock => "asleep on a lock",
            Self::Stopped => "stopped",
            Self::Woken => "woken",
            Self::Preempted => "preempted",
            Self::Throttled => "throttled",
        }
    }

    /// Whether it waits for a CPU, else for something to happen.
    pub const fn is_runnable(self) -> bool {
        matches!(self, Self::Woken | Self::Preempted | Self::Throttled)
    }
}

/// Which waits a row sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WaitKey {
    /// Process.
    pub pid: Pid,
    /// The system call it was in; none outside of calls (page faults, preemption in user code).
    pub nr: Option<CallNumber>,
    /// What it waited for.
    pub wait: Wait,
}

/// Who ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Waker {
    /// Nobody saw it.
    Unseen,
    /// An interrupt: a timer, a device, a packet.
    Interrupt {
        /// Kernel stack of the wakeup.
        kernel: StackId,
    },
    /// What ran on a stack of interrupts while a process ran: an interrupt on top of it, or a softirq that it ran
    /// itself, as one that sends a packet to another process of this machine does. The kernel stack tells.
    OnTop {
        /// The process.
        pid: Pid,
        /// Kernel stack of the wakeup.
        kernel: StackId,
    },
    /// A process, inside the target or outside.
    Process {
        /// Which.
        pid: Pid,
        /// Kernel stack of the wakeup.
        kernel: StackId,
        /// User stack of the waker.
        user: StackId,
    },
}

/// Which long waits a [`WaitStackRow`] sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WaitStackKey {
    /// What they are part of.
    pub row: WaitKey,
    /// Kernel stack of the wait.
    pub kernel: StackId,
    /// User stack that made the call; none outside of calls.
    pub user: StackId,
    /// Who ended them.
    pub waker: Waker,
}

/// Long waits with one set of stacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitStackRow {
    /// Waits.
    pub waits: u64,
    /// Sum of waits, ns.
    pub total_ns: u64,
    /// Longest wait, ns.
    pub max_ns: u64,
}

/// Which waits for a CPU a histogram of [`WaitRows::queues`] sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueKey {
    /// Process.
    pub pid: Pid,
    /// The CPU it got in the end.
    pub cpu: u32,
}

/// Time that another ran while a process waited for that CPU, of its long waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NeighbourKey {
    /// Process that waited.
    pub pid: Pid,
    /// Process that ran; 0: nobody, the CPU was idle.
    pub neighbour: Pid,
}

/// Turns of one neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourRow {
    /// Turns on the CPU.
    pub turns: u64,
    /// Their part of the waits, ns.
    pub ns: u64,
}

/// Waits off the CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitRows {
    /// Every wait.
    pub rows: BTreeMap<WaitKey, Histogram>,
    /// Stacks of the long ones that blocked.
    pub stacks: BTreeMap<WaitStackKey, WaitStackRow>,
    /// Waits for a CPU by CPU.
    pub queues: BTreeMap<QueueKey, Histogram>,
    /// Who ran meanwhile.
    pub neighbours: BTreeMap<NeighbourKey, NeighbourRow>,
}

impl WaitStackRow {
    /// Adds other waits.
    pub fn add(&mut self, other: &Self) {
        self.waits = self.waits.saturating_add(other.waits);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

impl WaitRows {
    /// Adds a delta.
    pub fn add(&mut self, delta: &Self) {
        for (key, row) in &delta.rows {
            self.rows.entry(*key).or_default().merge(row);
        }
        for (key, row) in &delta.queues {
            self.queues.entry(*key).or_default().merge(row);
        }
        for (key, row) in &delta.stacks {
            self.stacks.entry(*key).or_default().add(row);
        }
        for (key, row) in &delta.neighbours {
            let total = self.neighbours.entry(*key).or_default();
            total.turns = total.turns.saturating_add(row.turns);
            total.ns = total.ns.saturating_add(row.ns);
        }
    }

    /// Stacks that rows refer to.
    pub fn stack_ids(&self) -> impl Iterator<Item = StackId> + '_ {
        self.stacks.keys().flat_map(|key| {
            let (kernel, user) = match key.waker {
                Waker::Unseen => (StackId::NONE, StackId::NONE),
                Waker::Interrupt { kernel } | Waker::OnTop { kernel, .. } => (kernel, StackId::NONE),
                Waker::Process { kernel, user, .. } => (kernel, user),
            };
            [key.kernel, key.user, kernel, user]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_mean_the_same_wait_by_an_index() {
        for (kernel, wait) in profiler_common::wait::Wait::ALL.iter().zip(Wait::ALL) {
            assert_eq!((format!("{kernel:?}"), *kernel as usize), (format!("{wait:?}"), wait as usize));
        }
        assert_eq!(profiler_common::wait::Wait::ALL.len(), Wait::ALL.len());
    }
}
