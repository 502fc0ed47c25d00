//! The contract between the kernel side and user space.
//!
//! In: nothing. Out: plain `#[repr(C)]` records with explicit padding, the closed list of
//! outcomes, and the arithmetic both sides must agree on (histogram buckets, stack hash).
//! Kernel terms here: `tid` is a thread, `tgid` a process (what users call the pid).
#![no_std]

pub mod abi;
pub mod block;
pub mod calls;
pub mod chain;
pub mod copy;
pub mod crash;
pub mod death;
pub mod event;
pub mod follow;
pub mod glob;
pub mod global;
pub mod histogram;
pub mod kernel_function;
pub mod lock;
pub mod lsm;
pub mod outcome;
pub mod part;
pub mod paths;
pub mod peer;
pub mod processor;
pub mod sample;
pub mod slowest;
pub mod stack;
pub mod syscall;
pub mod user_lock;
pub mod wait;

/// Bytes of a task's command name, NUL padded (`TASK_COMM_LEN`).
pub const COMM_BYTES: usize = 16;

/// The part of every row's key that gives the row a single writer: the CPU, and the epoch's parity
/// in the top bit. One writer needs no atomics, memory is taken only for CPUs where a process
/// really ran, and user space reads the rows of a finished epoch while nobody writes them.
#[inline(always)]
pub const fn writer(cpu: u32, epoch: u32) -> u32 {
    (cpu & 0x7fff_ffff) | (epoch << 31)
}

/// The epoch parity (0 or 1) of a row's writer.
#[inline(always)]
pub const fn epoch_of(writer: u32) -> u32 {
    writer >> 31
}

/// The CPU of a row's writer.
#[inline(always)]
pub const fn cpu_of(writer: u32) -> u32 {
    writer & 0x7fff_ffff
}

/// What user space changes while the programs run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Control {
    /// Parity of the epoch that is being written.
    pub epoch: u32,
    /// Not 0 once `sched_switch` keeps the [`syscall::Slot`]s true.
    pub slots: u32,
}
shared_record!(Control, 8);

/// Asserts the size and alignment of a shared record at compile time and, in user space, lets
/// aya read it as plain old data.
#[macro_export]
macro_rules! shared_record {
    ($name:ty, $size:expr) => {
        const _: () = assert!(core::mem::size_of::<$name>() == $size);
        const _: () = assert!(core::mem::align_of::<$name>() <= 8);
        // SAFETY: the record is `repr(C)`, has no implicit padding (its size is asserted above to
        // be the sum of its fields) and every bit pattern of its integers is a value.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $name {}
    };
}
