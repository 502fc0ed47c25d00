//! The parts of a slow call's wall time: one closed list, and the rows that sum them.
//!
//! In: slices that the switches, wakeups and lock waits cut a call into. Out: [`Part`], the index
//! into every array of parts; [`PartRow`]s by kernel stack. The parts of a call add up to its wall
//! time: each is measured by its own slices, and time that no slice covers is [`Part::Unaccounted`].

/// What a call did for a part of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "user", serde(rename_all = "kebab-case"))]
#[repr(u32)]
pub enum Part {
    /// Running in the kernel.
    OnCpu,
    /// Spinning on a lock.
    Spin,
    /// On the CPU, with an interrupt or softirq on top.
    Irq,
    /// Asleep on a kernel lock.
    LockSleep,
    /// Asleep on something else.
    Sleep,
    /// Woken, and waiting for a CPU.
    Woken,
    /// Taken off the CPU while it could run, and waiting to come back.
    Preempted,
    /// It could run, but its cgroup's CPU quota is used up.
    Throttled,
    /// Between an interrupted call's return and its restart.
    Interrupted,
    /// No slice covers it: events were missed.
    Unaccounted,
}

impl Part {
    /// All parts, by index, in the order they are shown.
    pub const ALL: [Self; 10] = [
        Self::OnCpu,
        Self::Spin,
        Self::Irq,
        Self::LockSleep,
        Self::Sleep,
        Self::Woken,
        Self::Preempted,
        Self::Throttled,
        Self::Interrupted,
        Self::Unaccounted,
    ];

    /// The frame it is in pictures and sentences.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnCpu => "on CPU in the kernel",
            Self::Spin => "spinning on a lock",
            Self::Irq => "under interrupts",
            Self::LockSleep => "asleep on a lock",
            Self::Sleep => "asleep",
            Self::Woken => "waiting for a CPU: woken",
            Self::Preempted => "waiting for a CPU: preempted",
            Self::Throttled => "waiting for a CPU: throttled",
            Self::Interrupted => "between restarts",
            Self::Unaccounted => "unaccounted",
        }
    }
}

/// How many parts there are.
pub const PARTS: usize = Part::ALL.len();

/// Key of a row of parts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartKey {
    /// Process.
    pub tgid: u32,
    /// System call number.
    pub nr: u32,
    /// Kernel stack that shows the part: of its longest wait, or of the latest sample.
    pub kernel: u64,
    /// [`Part`].
    pub part: u32,
    /// The one writer of this row, see [`crate::writer`].
    pub writer: u32,
}
crate::shared_record!(PartKey, 24);

/// Sum of one part over slow calls.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PartRow {
    /// Time, ns.
    pub ns: u64,
    /// Calls that have it.
    pub calls: u64,
}
crate::shared_record!(PartRow, 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_its_position_in_the_list() {
        for (index, part) in Part::ALL.iter().enumerate() {
            assert_eq!(*part as usize, index);
        }
    }
}
