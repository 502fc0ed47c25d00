//! The `crash` probe's records.
//!
//! In: signals that end a process, faults that a handler catches. Out: a [`FaultHead`] and the top of the thread's stack, in
//! a ring of its own.

use crate::peer::LastReceive;
use crate::processor::REGISTER_WORDS;

/// Faults that have the whole of what is copied of a stack; later ones have [`STACK_BYTES_LATER`].
pub const WHOLE: u32 = 64;
/// Bytes of a stack that a later fault has at most, and a caught one.
pub const STACK_BYTES_LATER: u32 = 0xff8;
/// A caught fault is told if its thread ends within this time.
pub const CAUGHT_NS: u64 = 1_000_000_000;
/// Bytes of a mapping's name, NUL padded.
pub const NAME_BYTES: usize = 32;

/// Signals whose default action writes a core, as bits: those that tell where a program went wrong.
pub const FATAL: u64 =
    bit(3) | bit(4) | bit(5) | bit(6) | bit(7) | bit(8) | bit(11) | bit(24) | bit(25) | bit(31);

const fn bit(signal: u32) -> u64 {
    1 << signal
}

/// What happened, as [`FaultHead::how`].
pub mod how {
    /// The signal ends the process, and this thread got it.
    pub const DIES: u32 = 0;
    /// A handler caught it, and the thread ended soon after.
    pub const CAUGHT: u32 = 1;
    /// The process is being killed: this is its leader.
    pub const KILLED: u32 = 2;
}

/// As a number of the kernel's: it is not known.
pub const UNKNOWN: u64 = u64::MAX;

/// A mapping of the process; `end` 0: there is none, [`UNKNOWN`]: not known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// `VM_READ` 1, `VM_WRITE` 2, `VM_EXEC` 4, and others (include/linux/mm.h).
    pub flags: u64,
    /// Offset of `start` in the file, in pages.
    pub page: u64,
    /// Length of the file, bytes.
    pub file_bytes: u64,
    /// Inode of the file; 0: no file.
    pub inode: u64,
    /// The file's name, without its path.
    pub name: [u8; NAME_BYTES],
}
crate::shared_record!(Area, 48 + NAME_BYTES);

/// Calls of a thread that are told with its fault.
pub const CALLS_TOLD: usize = 16;
/// Calls that a CPU remembers, a power of two.
pub const CALLS_REMEMBERED: usize = 256;

/// Bytes of a goroutine's stack that are copied at most.
pub const GOROUTINE_BYTES: u32 = 0xff8;

/// The stack of the goroutine that called C, where a fault is in C: it goes on there.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Goroutine {
    /// When the fault was, as [`FaultHead::time_ns`].
    pub time_ns: u64,
    /// The goroutine's stack pointer when it called.
    pub sp: u64,
    /// Its frame pointer.
    pub bp: u64,
    /// Bytes of the stack; 0: there is none.
    pub bytes: u64,
    /// The stack from the stack pointer on.
    pub stack: [u8; GOROUTINE_BYTES as usize + 8],
}
crate::shared_record!(Goroutine, 32 + GOROUTINE_BYTES as usize + 8);

/// A call that ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastCall {
    /// When, monotonic ns.
    pub end_ns: u64,
    /// How long it took, ns.
    pub ns: u64,
    /// What it returned.
    pub ret: i64,
    /// Thread; 0: there was no call.
    pub tid: u32,
    /// Its number.
    pub nr: u32,
}
crate::shared_record!(LastCall, 32);

/// The last calls that ended on a CPU, by whatever thread: the oldest gives way.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CallRing {
    /// Where the next one goes.
    pub next: u64,
    /// The calls.
    pub calls: [LastCall; CALLS_REMEMBERED],
}
crate::shared_record!(CallRing, 8 + 32 * CALLS_REMEMBERED);

/// A thread at the moment it got the signal; the copied bytes of its stack follow.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FaultHead {
    /// Process.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// Its parent process.
    pub parent: u32,
    /// See [`how`].
    pub how: u32,
    /// Bytes of the stack that follow.
    pub bytes: u32,
    /// The signal.
    pub signal: u32,
    /// `si_code`.
    pub code: i32,
    /// The call that seccomp refused, of `SIGSYS`.
    pub call: u32,
    /// Process in its innermost pid namespace; 0: not known.
    pub inner_tgid: u32,
    /// Thread in it.
    pub inner_tid: u32,
    /// When, monotonic ns.
    pub time_ns: u64,
    /// The address that the signal is about, or who sent it: `si_pid`.
    pub address: u64,
    /// Id of its cgroup; 0: unknown.
    pub cgroup: u64,
    /// Its limit on the size of a core, bytes; [`UNKNOWN`].
    pub core_limit: u64,
    /// Flags of its memory, whose low two bits say whether it may be dumped; [`UNKNOWN`].
    pub mm_flags: u64,
    /// The thread's name.
    pub comm: [u64; 2],
    /// The mapping of the instruction.
    pub ip_area: Area,
    /// The mapping of the address.
    pub address_area: Area,
    /// What the thread received last.
    pub received: LastReceive,
    /// The user registers, as `pt_regs` has them.
    pub registers: [u64; REGISTER_WORDS],
}
crate::shared_record!(FaultHead, 128 + 2 * (48 + NAME_BYTES) + 8 * REGISTER_WORDS);
