//! Deaths of processes.
//!
//! In: signals, the ends of processes. Out: [`DeathEvent`]s of those that failed or were killed.

/// Deaths that are told one by one each second on a CPU, at most.
pub const EACH_SECOND: u32 = 100;

/// Signals whose senders are kept, as bits: those that mean to end a process. Others end one only where it did not
/// expect them, and come in masses elsewhere.
pub const KEPT_SIGNALS: u64 =
    bit(1) | bit(2) | bit(3) | bit(5) | bit(6) | bit(9) | bit(13) | bit(15) | bit(25) | FAULTS;

/// Signals that the kernel sends for what a thread itself did; another process may send them, too.
pub const FAULTS: u64 = bit(4) | bit(7) | bit(8) | bit(11) | bit(31);

const fn bit(signal: u32) -> u64 {
    1 << signal
}

/// What is known of the signal's sender.
pub mod flag {
    /// `sender` and `sender_comm` tell who sent the signal.
    pub const SENT: u32 = 1;
    /// The kernel sent it: for want of memory, or at the end of a pid namespace.
    pub const BY_KERNEL: u32 = 2;
    /// The kernel chose it when memory ran out.
    pub const OUT_OF_MEMORY: u32 = 4;
}

/// Who sent a process its last signal.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Sender {
    /// The signal.
    pub signal: u32,
    /// See [`flag`].
    pub flags: u32,
    /// The sender's process.
    pub tgid: u32,
    /// Another signal that was sent before; 0: none.
    pub before: u32,
    /// The sending thread's name.
    pub comm: [u64; 2],
    /// Id of the sender's cgroup; 0 when unknown.
    pub cgroup: u64,
    /// When it was sent, monotonic ns.
    pub time_ns: u64,
    /// The same of the one before.
    pub before_ns: u64,
}
crate::shared_record!(Sender, 56);

/// A process ended otherwise than with exit code 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeathEvent {
    /// [`crate::event::DEATH`].
    pub tag: u32,
    /// Process.
    pub tgid: u32,
    /// When, monotonic ns.
    pub time_ns: u64,
    /// When it started, monotonic ns.
    pub started_ns: u64,
    /// Id of its cgroup; 0 when unknown.
    pub cgroup: u64,
    /// As the kernel keeps it: signal in the low seven bits, 128 with a core, exit code above eight.
    pub exit_code: u32,
    /// See [`flag`].
    pub flags: u32,
    /// The last signal that was sent to it and is kept; 0: none. It may have been handled.
    pub signal: u32,
    /// Who sent that.
    pub sender: u32,
    /// Its name, as two words.
    pub comm: [u64; 2],
    /// The sender's.
    pub sender_comm: [u64; 2],
    /// Id of the sender's cgroup; 0 when unknown.
    pub sender_cgroup: u64,
    /// A signal that was sent before that one; 0: none. It may have been handled.
    pub before: u32,
    /// Explicit padding.
    pub pad: u32,
    /// When that was sent, monotonic ns.
    pub before_ns: u64,
}
crate::shared_record!(DeathEvent, 104);

/// How many events a CPU may still send in this second.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// Which second, by the monotonic clock.
    pub second: u64,
    /// Sent in it.
    pub sent: u32,
    /// Explicit padding.
    pub pad: u32,
}
crate::shared_record!(Allowance, 16);
