//! Rows of waits off the CPU: what the `offcpu` and `runq` probes produced.
//!
//! In: deltas of one interval. Out: totals; every wait is in a row, and the long ones are also in rows by stack. Blocked
//! waits belong to `offcpu`, waits for a CPU to `runq`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::probes::blame::rows::BlameRows;
use crate::profile::call::CallNumber;
use crate::profile::folding::{Keys, rekey};
use crate::profile::histogram::Histogram;
use crate::profile::process::Pid;
use crate::profile::row_set::{ENTRY, RowSet};
use crate::profile::stack::StackId;
use crate::profile::wait::Wait;

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
    /// No program saw who ended it.
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
    /// Who is to blame for the long ones.
    pub blame: BlameRows,
}

impl Waker {
    fn rekeyed(self, keys: &dyn Keys) -> Self {
        match self {
            Self::Unseen => self,
            Self::Interrupt { kernel } => Self::Interrupt { kernel: keys.kernel(kernel) },
            Self::OnTop { pid, kernel } => Self::OnTop { pid: keys.pid(pid), kernel: keys.kernel(kernel) },
            Self::Process { pid, kernel, user } => {
                Self::Process { pid: keys.pid(pid), kernel: keys.kernel(kernel), user: keys.user(pid, user) }
            }
        }
    }
}

impl NeighbourRow {
    /// Adds other turns.
    fn add(&mut self, other: &Self) {
        self.turns = self.turns.saturating_add(other.turns);
        self.ns = self.ns.saturating_add(other.ns);
    }
}

impl WaitStackRow {
    /// Adds other waits.
    pub fn add(&mut self, other: &Self) {
        self.waits = self.waits.saturating_add(other.waits);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

impl RowSet for WaitRows {
    fn add(&mut self, delta: &Self) {
        let Self { rows, stacks, queues, neighbours, blame } = delta;
        self.blame.add(blame);
        for (key, row) in rows {
            self.rows.entry(*key).or_default().merge(row);
        }
        for (key, row) in queues {
            self.queues.entry(*key).or_default().merge(row);
        }
        for (key, row) in stacks {
            self.stacks.entry(*key).or_default().add(row);
        }
        for (key, row) in neighbours {
            self.neighbours.entry(*key).or_default().add(row);
        }
    }

    fn weigh(&self) -> u64 {
        let Self { rows, stacks, queues, neighbours, blame } = self;
        let histograms = rows.values().chain(queues.values()).map(|row| row.weigh() + ENTRY);
        histograms.sum::<u64>() + (stacks.len() + neighbours.len()) as u64 * ENTRY + blame.weigh()
    }

    fn stacks(&self, each: &mut dyn FnMut(StackId)) {
        let Self { rows: _, stacks, queues: _, neighbours: _, blame } = self;
        blame.stacks(each);
        for key in stacks.keys() {
            let (kernel, user) = match key.waker {
                Waker::Unseen => (StackId::NONE, StackId::NONE),
                Waker::Interrupt { kernel } | Waker::OnTop { kernel, .. } => (kernel, StackId::NONE),
                Waker::Process { kernel, user, .. } => (kernel, user),
            };
            [key.kernel, key.user, kernel, user].into_iter().for_each(&mut *each);
        }
    }

    fn rekey(&mut self, keys: &dyn Keys) {
        let row = |key: &WaitKey| WaitKey { pid: keys.pid(key.pid), ..*key };
        rekey(&mut self.rows, row, Histogram::merge);
        let stack = |key: &WaitStackKey| WaitStackKey {
            row: row(&key.row),
            kernel: keys.kernel(key.kernel),
            user: keys.user(key.row.pid, key.user),
            waker: key.waker.rekeyed(keys),
        };
        rekey(&mut self.stacks, stack, WaitStackRow::add);
        let queue = |key: &QueueKey| QueueKey { pid: keys.pid(key.pid), ..*key };
        rekey(&mut self.queues, queue, Histogram::merge);
        let neighbour =
            |key: &NeighbourKey| NeighbourKey { pid: keys.pid(key.pid), neighbour: keys.pid(key.neighbour) };
        rekey(&mut self.neighbours, neighbour, NeighbourRow::add);
        self.blame.rekey(keys);
    }
}
