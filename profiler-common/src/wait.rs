//! Waits off the CPU: the records of the `offcpu` and `runq` probes.
//!
//! In: switches, wakeups. Out: wait rows per (process, call, [`Wait`]), in the shape of latency rows; stacks of
//! the long ones with their waker; who ran meanwhile. Waits of threads that are blocked belong to `offcpu`, waits of
//! threads that could run to `runq`.

use crate::abi::BEGAN_BEFORE;

/// What a thread off the CPU waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "user", serde(rename_all = "kebab-case"))]
#[repr(u32)]
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
    /// All of them, by index, in the order they are shown.
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

/// Bits of a packed call that hold its number; all set: outside of calls.
const CALL_BITS: u16 = 12;
/// As a call's number: the thread was in none.
pub const NO_CALL: u16 = (1 << CALL_BITS) - 1;

/// Set beside the wait: the call began before the recording.
const BEFORE: u16 = 1 << 15;

/// Packs a wait and the call it is in, to take a call number's place in a latency row's key. Numbers that do not
/// fit (none is known) count as no call.
#[inline(always)]
pub const fn pack(wait: u32, nr: u32) -> u16 {
    let (call, before) = (nr & !BEGAN_BEFORE, nr & BEGAN_BEFORE != 0);
    let packed = (wait as u16) << CALL_BITS | if call < NO_CALL as u32 { call as u16 } else { NO_CALL };
    if before && call < NO_CALL as u32 { packed | BEFORE } else { packed }
}

/// Wait and call number of a packed call.
pub const fn unpack(packed: u16) -> (u32, u16) {
    let before = if packed & BEFORE != 0 { BEGAN_BEFORE as u16 } else { 0 };
    (((packed & !BEFORE) >> CALL_BITS) as u32, packed & NO_CALL | before)
}

/// A waker that was not seen, or not asked for.
pub const NO_WAKER: u32 = u32::MAX;

/// Who ended a wait.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waker {
    /// Kernel stack of the wakeup.
    pub kernel: u64,
    /// User stack of the waker.
    pub user: u64,
    /// Process; 0: an interrupt, [`NO_WAKER`]: not seen.
    pub tgid: u32,
    /// 1: on a stack of interrupts while that process ran.
    pub on_top: u32,
}
crate::shared_record!(Waker, 24);

/// Key of the long waits with one set of stacks.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitStackKey {
    /// Process that waited.
    pub tgid: u32,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
    /// What the process waited for, and in which call: see [`pack`].
    pub packed: u32,
    /// Explicit padding.
    pub pad: u32,
    /// Kernel stack of the wait.
    pub kernel: u64,
    /// User stack that made the call.
    pub user: u64,
    /// Who ended it.
    pub waker: Waker,
}
crate::shared_record!(WaitStackKey, 56);

/// Waits with one set of stacks.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitStackRow {
    /// Waits.
    pub waits: u64,
    /// Sum of waits, ns.
    pub total_ns: u64,
    /// Longest wait, ns.
    pub max_ns: u64,
}
crate::shared_record!(WaitStackRow, 24);

/// Key of the time that a process waited for a CPU while another ran there.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NeighbourKey {
    /// Process that waited.
    pub tgid: u32,
    /// Process that ran; 0: the CPU was idle.
    pub neighbour: u32,
    /// Name of that process's thread that ran, NUL padded, as two words; 0 if it was gone.
    pub comm: [u64; 2],
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
    /// Explicit padding.
    pub pad: u32,
}
crate::shared_record!(NeighbourKey, 32);

/// Time that another ran.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NeighbourRow {
    /// Turns on the CPU.
    pub turns: u64,
    /// Their part of the waits, ns.
    pub ns: u64,
}
crate::shared_record!(NeighbourRow, 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_its_position_in_the_list() {
        for (index, wait) in Wait::ALL.iter().enumerate() {
            assert_eq!(*wait as usize, index);
        }
    }

    #[test]
    fn a_packed_call_comes_back() {
        for (wait, nr) in [(0, 0), (6, 469), (3, u32::from(NO_CALL))] {
            assert_eq!(unpack(pack(wait, nr)), (wait, nr as u16));
        }
        assert_eq!(unpack(pack(1, u32::MAX)), (1, NO_CALL));
        assert_eq!(unpack(pack(1, 70_000)), (1, NO_CALL));
    }
}
