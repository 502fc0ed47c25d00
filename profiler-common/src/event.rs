//! Events that travel one by one through the ring buffer: all of them rare.
//!
//! In: process life and new stacks. Out: records that begin with a `tag`.

use crate::COMM_BYTES;

/// [`crate::stack::StackHead`] and its frames.
pub const STACK: u32 = 1;
/// [`ProcessEvent`]: the first event of a process, or its new image after exec.
pub const PROCESS: u32 = 2;
/// [`InFlightEvent`], written by the task iterator.
pub const IN_FLIGHT: u32 = 3;

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

/// A call in flight, as the task iterator found it; the kernel stack's addresses follow.
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
}
crate::shared_record!(InFlightEvent, 48);
