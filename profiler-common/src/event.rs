//! Events that are sent one by one through the ring buffer. All of them are rare.
//!
//! In: process life and new stacks. Out: records that begin with a `tag`.

use crate::COMM_BYTES;

/// [`crate::stack::StackHead`] and its frames.
pub const STACK: u32 = 1;
/// [`ProcessEvent`]: the first event of a process, or its new image after exec.
pub const PROCESS: u32 = 2;
/// [`InFlightEvent`], written by the task iterator.
pub const IN_FLIGHT: u32 = 3;
/// [`crate::follow::CgroupEvent`].
pub const CGROUP: u32 = 4;
/// [`crate::death::DeathEvent`].
pub const DEATH: u32 = 5;

/// A process came into view, or became another program.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEvent {
    /// [`PROCESS`].
    pub tag: u32,
    /// Process.
    pub tgid: u32,
    /// Monotonic time of the event, ns.
    pub time_ns: u64,
    /// Id of its cgroup in the hierarchy that tells containers apart here; 0 when unknown.
    pub cgroup: u64,
    /// Name of the thread that was seen first.
    pub comm: [u8; COMM_BYTES],
}
crate::shared_record!(ProcessEvent, 40);

/// A call in flight, as the task iterator found it; the kernel stack's addresses follow, then the user registers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct InFlightEvent {
    /// [`IN_FLIGHT`].
    pub tag: u32,
    /// Process.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// System call number.
    pub nr: u32,
    /// Enter time, monotonic ns.
    pub enter_ns: u64,
    /// 1 when the call began before attach and `enter_ns` is only "at the latest".
    pub at_least: u32,
    /// How many kernel addresses follow.
    pub frames: u32,
    /// Thread name.
    pub comm: [u8; COMM_BYTES],
    /// What it waits for, [`crate::wait::Wait`]; [`ON_CPU`]: it runs.
    pub wait: u32,
    /// The CPU it is on, or was on last.
    pub cpu: u32,
    /// Since when it is off the CPU, monotonic ns; 0: it is not, or nobody saw it leave.
    pub since_ns: u64,
    /// When it was woken since then; 0: not yet.
    pub woken_ns: u64,
    /// What it waits for since then, [`crate::wait::Wait`].
    pub away: u32,
    /// What it waits for since it was woken: the same.
    pub queue: u32,
    /// How long before `enter_ns` a call that began before attach is known to have begun, ns.
    pub before_ns: u64,
    /// 1: the registers that follow are those with which a sleeping 64-bit thread entered the kernel.
    /// Otherwise they mean nothing.
    pub user: u64,
}
crate::shared_record!(InFlightEvent, 96);

/// As [`InFlightEvent::nr`]: the thread is in no call.
pub const NOT_IN_CALL: u32 = u32::MAX;

/// As [`InFlightEvent::wait`]: the thread is on a CPU.
pub const ON_CPU: u32 = u32::MAX;
